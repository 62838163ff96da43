"""Grader: the expected text stands somewhere in the answer."""

from __future__ import annotations

import re

from burnish.grading.registry import Grade, failing, grader, passing
from burnish.grading.text import fold


@grader
def contains(answer: str, expected: str, *, case_sensitive: bool = False, whole_words: bool = False) -> Grade:
    """The expected text stands in the answer; case folded and white space collapsed unless case_sensitive.

    whole_words: not inside a longer word ("art" is not in "start").
    """
    haystack, needle = (answer, expected.strip()) if case_sensitive else (fold(answer), fold(expected))
    pattern = rf"(?<!\w){re.escape(needle)}(?!\w)" if whole_words else re.escape(needle)
    return (
        passing()
        if re.search(pattern, haystack)
        else failing("expected-text-missing", f"{expected!r} is not in the answer")
    )
