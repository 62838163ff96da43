"""Grader: a regular expression matches the answer."""

from __future__ import annotations

from functools import partial

from burnish.grading.patterns import GradingLimitError, compiled, search
from burnish.grading.registry import Grade, failing, grader, passing, skipping

PATTERN = "grader.args.pattern"


def _check(expected: str, *, pattern: str | None, ignore_case: bool, **_: object) -> None:
    compiled(pattern if pattern is not None else expected, ignore_case, field=PATTERN)


@partial(grader, check=_check)
def regex(
    answer: str, expected: str, *, pattern: str | None = None, full_match: bool = False, ignore_case: bool = False
) -> Grade:
    """The pattern (or, without one, the expected answer read as a pattern) matches; Python's `re` syntax.

    full_match: it must match the whole answer, outer white space aside. A pattern that is not done after half a second on an
    answer (catastrophic backtracking) is a skip that says so. Raises InvalidInputError for a bad pattern.
    """
    ready = compiled(pattern if pattern is not None else expected, ignore_case, field=PATTERN)
    try:
        matches = search(ready, answer.strip() if full_match else answer, full_match=full_match)
    except GradingLimitError as error:
        return skipping(str(error))
    return passing() if matches else failing("no-match", f"/{ready.pattern[:200]}/ does not match")
