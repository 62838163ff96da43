"""Suggestions: what other models answered to questions that are open, kept with their grade and origin until a person decides.

`burnish review suggest` fills it over HTTP; the review page, review files and dataset builds read it. Nothing here decides.
"""
