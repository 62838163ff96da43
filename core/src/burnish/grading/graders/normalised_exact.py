"""Grader: the answer is the expected text but for case, punctuation, articles and white space."""

from __future__ import annotations

from burnish.grading.registry import Grade, failing, grader, passing, skipping
from burnish.grading.text import normalise


@grader
def normalised_exact(answer: str, expected: str) -> Grade:
    """The answer equals the expected text after normalisation (burnish.grading.text.normalise)."""
    wanted, got = normalise(expected), normalise(answer)
    if not wanted:
        return skipping("nothing of the expected answer is left after normalisation: use `exact`")
    if got == wanted:
        return passing()
    if wanted in got:
        return failing("answer-in-prose", "the expected text is there, with more around it")
    return failing("wrong-answer", f"expected {wanted[:200]!r}, got {got[:200]!r}")
