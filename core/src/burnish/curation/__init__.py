"""Curation: review items out and corrections in, and the datasets, exports and benchmarks made from them.

Pure functions over rows; the curator stores what they return.
"""
