"""What one grade may take: regular expressions of users on answers of models, and whatever else runs under `time_limit`.

`re` cannot be bounded in time. Used by the graders regex and json_fields and by `json_schema`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import regex

from burnish.errors import InvalidInputError

SECONDS_A_SEARCH = 0.5
SECONDS_A_GRADE = 2.0  # of this thread's processor
LONGEST_PATTERN = 10_000  # characters; compiled it has up to 3 MB
# What `regex` has beyond `re`: a pattern that calls itself takes 1.6 GB a second on a long answer.
_CALLS_ITSELF = re.compile(r"(?<!\\)(?:\\\\)*\(\?(?:R|[+-]?\d+|(?:&|P>)\w+)\)")
_deadline: ContextVar[float] = ContextVar("deadline")


class GradingLimitError(Exception):
    """A search or a comparison takes too long, or is too deep. The grader skips: whether the answer is right is not known."""


@lru_cache(maxsize=256)
def compiled(pattern: str, ignore_case: bool = False, field: str = "") -> regex.Pattern[str]:
    """Syntax of Python's `re` (regex's version 0). Raises InvalidInputError for a pattern that is none, or too large."""
    if len(pattern) > LONGEST_PATTERN:
        raise InvalidInputError(
            f"{field}: a pattern may have {LONGEST_PATTERN} characters, and this one has {len(pattern)}", field=field
        )
    if _CALLS_ITSELF.search(pattern):
        raise InvalidInputError(
            f"{field}: {pattern[:200]!r} calls itself, which Python's `re` does not know", field=field
        )
    try:
        return regex.compile(pattern, regex.VERSION0 | (regex.IGNORECASE if ignore_case else 0))
    except (regex.error, RecursionError) as error:
        raise InvalidInputError(f"{field}: {pattern[:200]!r} is no regular expression: {error}", field=field) from error


def search(pattern: regex.Pattern[str], text: str, *, full_match: bool = False) -> bool:
    """Whether it matches somewhere, or all of the text. Raises GradingLimitError."""
    try:
        find = pattern.fullmatch if full_match else pattern.search
        return find(text, timeout=SECONDS_A_SEARCH) is not None
    except TimeoutError as error:
        raise GradingLimitError(
            f"/{pattern.pattern[:200]}/ was not done after {SECONDS_A_SEARCH:g} s on an answer of {len(text)} characters: "
            "make the pattern simpler"
        ) from error


@contextmanager
def time_limit() -> Iterator[None]:
    """Inside, `check_time` raises once this thread has computed for SECONDS_A_GRADE."""
    token = _deadline.set(time.thread_time() + SECONDS_A_GRADE)
    try:
        yield
    finally:
        _deadline.reset(token)


def check_time() -> None:
    """Raises GradingLimitError if the time of this grade is over. Called in each loop that may be long."""
    if time.thread_time() > _deadline.get():
        raise GradingLimitError(
            f"comparing the answer was not done after {SECONDS_A_GRADE:g} s: make the schema simpler, or compare fewer fields"
        )
