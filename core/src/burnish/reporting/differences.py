"""Two answers word by word: which runs of text only one of them has. Pure; called by the report's page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST_COMPARISONS = 250_000
LEAST_IN_COMMON = 0.2
_WORD = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")


@dataclass(frozen=True)
class Segment:
    """A run of text; changed: the other side does not have it here. The texts of a side's segments join to its text."""

    text: str
    changed: bool


def mark_differences(base: str, candidate: str) -> tuple[list[Segment], list[Segment]]:
    """The segments of either text. Words differ by their letters, never by the white space after them.

    What both begin and end with is common. Between, words are matched by difflib; if that would take more than
    MOST_COMPARISONS word pairs (huge or hostile texts), or fewer than LEAST_IN_COMMON of the words match (two unrelated
    answers), all of the middle is changed.
    """
    left, right = _WORD.findall(base), _WORD.findall(candidate)
    keys = [word.strip() for word in left], [word.strip() for word in right]
    head = _common(keys[0], keys[1])
    tail = _common(keys[0][head:][::-1], keys[1][head:][::-1])
    middle = keys[0][head : len(left) - tail], keys[1][head : len(right) - tail]
    marked = _match(middle)
    return tuple(  # type: ignore[return-value]
        _segments(words, [False] * head + changed + [False] * tail)
        for words, changed in zip((left, right), marked, strict=True)
    )


def _common(left: list[str], right: list[str]) -> int:
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _match(middle: tuple[list[str], list[str]]) -> tuple[list[bool], list[bool]]:
    left, right = middle
    changed = [True] * len(left), [True] * len(right)
    if not left or not right or len(left) * len(right) > MOST_COMPARISONS:
        return changed
    blocks = SequenceMatcher(None, left, right, autojunk=len(left) + len(right) > 400).get_matching_blocks()
    if 2 * sum(block.size for block in blocks) < LEAST_IN_COMMON * (len(left) + len(right)):
        return changed
    for block in blocks:
        changed[0][block.a : block.a + block.size] = [False] * block.size
        changed[1][block.b : block.b + block.size] = [False] * block.size
    return changed


def _segments(words: list[str], changed: list[bool]) -> list[Segment]:
    segments: list[Segment] = []
    for word, differs in zip(words, changed, strict=True):
        if segments and segments[-1].changed == differs:
            segments[-1] = Segment(segments[-1].text + word, differs)
        else:
            segments.append(Segment(word, differs))
    return segments
