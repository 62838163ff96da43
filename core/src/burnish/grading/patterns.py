"""Regular expressions of users on answers of models: bounded in time, which `re` cannot be. Used by regex and schema_check."""

from __future__ import annotations

from functools import lru_cache

import regex

from burnish.errors import InvalidInputError

SECONDS_A_SEARCH = 0.5


class PatternTimeoutError(Exception):
    """A search was not done in SECONDS_A_SEARCH. The grader skips: whether the pattern matches is not known."""


@lru_cache(maxsize=1024)
def compiled(pattern: str, ignore_case: bool = False, field: str = "") -> regex.Pattern[str]:
    """Syntax of Python's `re` (regex's version 0). Raises InvalidInputError for a pattern that is none."""
    try:
        return regex.compile(pattern, regex.VERSION0 | (regex.IGNORECASE if ignore_case else 0))
    except regex.error as error:
        raise InvalidInputError(f"{field}: {pattern!r} is no regular expression: {error}", field=field) from error


def search(pattern: regex.Pattern[str], text: str, *, full_match: bool = False) -> bool:
    """Whether it matches somewhere, or all of the text. Raises PatternTimeoutError."""
    try:
        find = pattern.fullmatch if full_match else pattern.search
        return find(text, timeout=SECONDS_A_SEARCH) is not None
    except TimeoutError as error:
        raise PatternTimeoutError(
            f"/{pattern.pattern[:200]}/ was not done after {SECONDS_A_SEARCH:g} s on an answer of {len(text)} characters: "
            "make the pattern simpler"
        ) from error
