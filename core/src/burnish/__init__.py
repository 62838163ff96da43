"""Burnish core: the domain without torch, gRPC, FastAPI or a network.

Everything that two rooms must agree on lives here: schemas, errors, object layout, grading, statistics, the verdict.
"""

__version__ = "0.1.0"
