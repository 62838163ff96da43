"""What one grade may take: regular expressions of users on answers of models, and whatever else runs under `time_limit`.

`re` cannot be bounded in time. Used by the graders regex and json_fields and by `json_schema`.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import regex

from burnish.caches import SizedCache
from burnish.errors import InvalidInputError
from burnish.grading.unrolled import unrolled_size

SECONDS_A_SEARCH = 0.5  # it bounds the memory too: what a search may have to go back to grows by up to 1 GB a second
SECONDS_A_GRADE = 2.0  # of this thread's processor
VIOLATIONS_A_GRADE = 10_000  # of a schema; each has about a kilobyte
LONGEST_PATTERN = 10_000  # characters
LARGEST_PATTERN = 20_000  # nodes; compiled it has up to 10 MB
CACHED_BYTES = 32 * 1024 * 1024  # of compiled patterns
# What `regex` has beyond `re`: a pattern that calls itself takes 1.6 GB a second on a long answer.
_CALLS_ITSELF = re.compile(r"(?<!\\)(?:\\\\)*\(\?(?:R|[+-]?\d+|(?:&|P>)\w+)\)")


@dataclass
class _Budget:
    deadline: float
    violations: int = VIOLATIONS_A_GRADE


_budget: ContextVar[_Budget] = ContextVar("budget")


class GradingLimitError(Exception):
    """A search or a comparison takes too long, or is too deep. The grader skips: whether the answer is right is not known."""


_compiled: SizedCache[regex.Pattern[str]] = SizedCache(CACHED_BYTES)


def compiled(pattern: str, ignore_case: bool = False, field: str = "") -> regex.Pattern[str]:
    """Syntax of Python's `re` (regex's version 0). Raises InvalidInputError for a pattern that is none, or too large."""
    return _compiled.get((pattern, ignore_case), lambda: _compile(pattern, ignore_case, field), sys.getsizeof)


def _compile(pattern: str, ignore_case: bool, field: str) -> regex.Pattern[str]:
    if len(pattern) > LONGEST_PATTERN:
        raise InvalidInputError(
            f"{field}: a pattern may have {LONGEST_PATTERN} characters, and this one has {len(pattern)}", field=field
        )
    if _CALLS_ITSELF.search(pattern):
        raise InvalidInputError(
            f"{field}: {pattern[:200]!r} calls itself, which Python's `re` does not know", field=field
        )
    if (size := unrolled_size(pattern)) > LARGEST_PATTERN:
        raise InvalidInputError(
            f"{field}: with its counts written out {pattern[:200]!r} has {size} characters, and {LARGEST_PATTERN} is the most: lower the counts",
            field=field,
        )
    try:
        flags = regex.VERSION0 | (regex.IGNORECASE if ignore_case else 0)
        return regex.compile(pattern, flags, cache_pattern=False)  # regex's own cache has no bound in bytes
    except (regex.error, RecursionError, ValueError, OverflowError) as error:
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
    """Inside, `check_time` raises once this thread has computed for SECONDS_A_GRADE, and `count_violation` if there are too many."""
    token = _budget.set(_Budget(time.thread_time() + SECONDS_A_GRADE))
    try:
        yield
    finally:
        _budget.reset(token)


def check_time() -> None:
    """Raises GradingLimitError if the time of this grade is over. Called in each loop that may be long."""
    if time.thread_time() > _budget.get().deadline:
        raise GradingLimitError(
            f"comparing the answer was not done after {SECONDS_A_GRADE:g} s: make the schema simpler, or compare fewer fields"
        )


def count_violation() -> None:
    """Raises GradingLimitError if the answer breaks its schema in too many places to hold them all."""
    budget = _budget.get()
    budget.violations -= 1
    if budget.violations < 0:
        raise GradingLimitError(
            f"the answer breaks its schema in over {VIOLATIONS_A_GRADE} places: make the schema simpler"
        )
