"""The checks, a family a file: pure functions from rows, tokens or the spec to findings. Called by examine.py alone.

A check that is not about one job's rows or spec does not belong here; what is estimated is planner.py's.
"""
