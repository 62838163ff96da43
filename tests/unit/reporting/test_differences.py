"""Word by word differences: what is marked, that no text is lost, and that hostile texts cost little time."""

from __future__ import annotations

import random
import time

import pytest

from burnish.reporting.differences import Segment, mark_differences


def marked(base: str, candidate: str) -> tuple[str, str]:
    """Both texts with the changed runs in brackets."""
    sides = mark_differences(base, candidate)
    texts = ["".join(f"[{s.text}]" if s.changed else s.text for s in side) for side in sides]
    return texts[0], texts[1]


@pytest.mark.parametrize(
    ("base", "candidate", "expected"),
    [
        ("", "", ("", "")),
        ("same words", "same words", ("same words", "same words")),
        ("", "new", ("", "[new]")),
        ('{"file": "heapq.py"}', '{"file": "bisect.py"}', ('{"file": "[heapq].py"}', '{"file": "[bisect].py"}')),
        ("a b c d e", "a x c d", ("a [b ]c d [e]", "a [x ]c d")),
        ("one\ntwo", "one two", ("one\ntwo", "one two")),
        ("nothing in common", "wholly other words", ("[nothing in common]", "[wholly other words]")),
    ],
)
def test_only_what_differs_is_marked(base: str, candidate: str, expected: tuple[str, str]) -> None:
    assert marked(base, candidate) == expected


def test_texts_join_to_what_they_were_and_hostile_ones_are_quick() -> None:
    draw = random.Random(0)
    texts = [
        "x " + "a " * 1990 + "y",
        "z " + "a " * 1900 + "w",
        " ".join(draw.choice("ab") for _ in range(1500)),
        "b a c " * 600 + "d",
        "\n\t <p> ‹U+202E› é日本語 " * 100,
    ]
    started = time.process_time()
    for base in texts:
        for candidate in texts:
            for text, side in zip((base, candidate), mark_differences(base, candidate), strict=True):
                assert "".join(segment.text for segment in side) == text
    assert time.process_time() - started < 5
    assert mark_differences("a", "b") == ([Segment("a", True)], [Segment("b", True)])
