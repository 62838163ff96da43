"""Grader: the expected text is somewhere in the answer."""

from __future__ import annotations

from burnish.grading.registry import Grade, failing, grader, passing
from burnish.grading.text import canonical, fold, stands_in, visible


@grader
def contains(answer: str, expected: str, *, case_sensitive: bool = False, whole_words: bool = True) -> Grade:
    """The expected text is in the answer; case folded (NFKC) and white space collapsed unless case_sensitive.

    whole_words (default): not inside a longer word or number (burnish.grading.text.stands_in): "art" is not in "start",
    50 not in 150.
    """
    form = _as_written if case_sensitive else fold
    haystack, needle = form(answer), form(expected)
    found = stands_in(needle, haystack) if whole_words else needle in haystack
    return passing() if found else failing("expected-text-missing", f"{expected[:200]!r} is not in the answer")


def _as_written(text: str) -> str:
    return canonical(visible(text)).strip()
