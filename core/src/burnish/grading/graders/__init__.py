"""The graders: one file each, with one decorated function whose keyword arguments a benchmark question records.

A grader answers (answer, expected[, evidence], **args) with a Grade, and skips with a reason if it cannot grade. It is free of I/O
and never imports another grader; what graders share lies in burnish.grading.
"""

from burnish.grading.graders import (  # noqa: F401  # importing a grader's file registers it
    contains,
    exact,
    json_fields,
    judge,
    multiple_choice,
    normalised_exact,
    number,
    one_of,
    regex,
    token_f1,
)
