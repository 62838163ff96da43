"""Graders: one file a grader, each one decorated function whose arguments are recorded in the benchmark question.

A grader answers (answer, expected, **args) with a Grade; it skips with a reason where it cannot grade. Called by the
eval client and by whoever makes a run log; must stay free of I/O.
"""

from burnish.grading import (  # importing a grader's file registers it
    contains,
    exact,
    json_fields,
    multiple_choice,
    normalised_exact,
    number,
    regex,
    token_f1,
)
from burnish.grading.registry import Grade, check, describe, grade, grader, names

__all__ = ["Grade", "check", "describe", "grade", "grader", "names"]
_GRADERS = (contains, exact, json_fields, multiple_choice, normalised_exact, number, regex, token_f1)
