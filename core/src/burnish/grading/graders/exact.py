"""Grader: the answer is the expected text, character for character."""

from __future__ import annotations

from burnish.grading.registry import Grade, failing, grader, passing
from burnish.grading.text import canonical


@grader
def exact(answer: str, expected: str, *, strip: bool = True) -> Grade:
    """The answer equals the expected text; leading and trailing white space is ignored unless strip is false.

    Canonically equivalent Unicode (é in one code point or two) is the same text; nothing else is folded.
    """
    answer, expected = canonical(answer), canonical(expected)
    same = answer.strip() == expected.strip() if strip else answer == expected
    if same:
        return passing()
    if expected.strip() in answer:
        return failing("answer-in-prose", "the expected text is there, with more around it")
    return failing("wrong-answer", f"expected {expected[:200]!r}")
