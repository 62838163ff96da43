"""Another model's answers to questions that failed: what a teacher is asked, how its answers are graded and kept, which a dataset takes.

Called by the curator and by `burnish.curation.build`. The client sends the requests; what a person decides is `burnish.curation.review.items`.
"""
