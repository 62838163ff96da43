"""Grading an answer: the registry, what graders read beside the answer, and how users' patterns are bounded.

The graders lie in `graders/`, what they share in `reading/` (what an answer says), `json_schema/` and `judging/` (what a judge is asked).
Called by the eval client and by whoever makes a run log; stays free of I/O. What asks a judge or an endpoint belongs to the client.
"""

from burnish.grading import graders  # noqa: F401  # registers them
from burnish.grading.closed_answers import chance, closed_answers
from burnish.grading.evidence import Evidence, Judgement
from burnish.grading.registry import Grade, check, describe, grade, grader, names
from burnish.grading.requests import needs, request_parameters

__all__ = [
    "Evidence",
    "Grade",
    "Judgement",
    "chance",
    "check",
    "closed_answers",
    "describe",
    "grade",
    "grader",
    "names",
    "needs",
    "request_parameters",
]
