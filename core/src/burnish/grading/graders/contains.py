"""Grader: the expected text is somewhere in the answer."""

from __future__ import annotations

import re

from burnish.grading.registry import Grade, failing, grader, passing
from burnish.grading.text import canonical, fold, visible


@grader
def contains(answer: str, expected: str, *, case_sensitive: bool = False, whole_words: bool = False) -> Grade:
    """The expected text is in the answer; case folded (NFKC) and white space collapsed unless case_sensitive.

    whole_words: not inside a longer word ("art" is not in "start").
    """
    form = _as_written if case_sensitive else fold
    haystack, needle = form(answer), form(expected)
    pattern = rf"(?<!\w){re.escape(needle)}(?!\w)" if whole_words else re.escape(needle)
    return (
        passing()
        if re.search(pattern, haystack)
        else failing("expected-text-missing", f"{expected[:200]!r} is not in the answer")
    )


def _as_written(text: str) -> str:
    return canonical(visible(text)).strip()
