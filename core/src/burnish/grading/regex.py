"""Grader: a regular expression matches the answer."""

from __future__ import annotations

import re
from functools import lru_cache

from burnish.errors import InvalidInputError
from burnish.grading.registry import Grade, failing, grader, passing


@grader
def regex(
    answer: str, expected: str, *, pattern: str | None = None, full_match: bool = False, ignore_case: bool = False
) -> Grade:
    """The pattern (or, without one, the expected answer read as a pattern) matches; Python's `re` syntax.

    full_match: it must match the whole answer, outer white space aside. The pattern comes from whoever writes the
    benchmark and is trusted: one that backtracks without end is not stopped. Raises InvalidInputError for a bad one.
    """
    compiled = _compiled(pattern if pattern is not None else expected, ignore_case)
    match = compiled.fullmatch(answer.strip()) if full_match else compiled.search(answer)
    return passing() if match else failing("no-match", f"/{compiled.pattern}/ does not match")


@lru_cache(maxsize=1024)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise InvalidInputError(
            f"grader 'regex': {pattern!r} is no regular expression: {error}", field="grader.args.pattern"
        ) from error
