"""Reviews: a queue of failed questions, what people decided about them with its history, and the review as a file. Called over HTTP by
the client and by people (`web/`). What a decision must be is core's (`burnish.curation.review.items`). Datasets read the corrections from here.
"""
