"""A job's training rows: read from the object store, as token ids, and in the order of training.

Preflight counts by exactly what the worker trains on, so both call these modules; no model library is imported here.
What is wrong with rows is told by preflight/checks.
"""
