"""Reviews: items out, corrections in, and the review page for browsers. Called over HTTP by the client and by people.
What a correction must be is core's (`burnish.curation.review`). Datasets read the corrections from here.
"""
