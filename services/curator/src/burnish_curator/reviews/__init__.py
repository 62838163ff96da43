"""Review: items out, corrections in, and the review page."""
