"""Graders: one file a grader, each one decorated function whose arguments are recorded in the benchmark question.

A grader answers (answer, expected, **args) with a Grade; it skips with a reason where it cannot grade. Two take Evidence
beside the text: log-probabilities, a judge's word. Called by the eval client and by whoever makes a run log; must stay
free of I/O.
"""

from burnish.grading import (  # importing a grader's file registers it
    contains,
    exact,
    json_fields,
    judge,
    multiple_choice,
    normalised_exact,
    number,
    regex,
    token_f1,
)
from burnish.grading.evidence import Evidence, Judgement
from burnish.grading.registry import Grade, check, describe, grade, grader, names
from burnish.grading.requests import needs, request_parameters

__all__ = [
    "Evidence",
    "Grade",
    "Judgement",
    "check",
    "describe",
    "grade",
    "grader",
    "names",
    "needs",
    "request_parameters",
]
_GRADERS = (contains, exact, json_fields, judge, multiple_choice, normalised_exact, number, regex, token_f1)
