"""Preferences of a review: which answers to one prompt there are, which two of them a person compares, and what a decision about them must be.

Called by the review and by the build of a dataset. What they become is in `burnish.curation.targets` and `burnish.curation.rows`.
"""
