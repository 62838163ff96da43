"""Grader: overlap of words with the expected answer."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field

from burnish.grading.registry import Grade, failing, grader, passing, skipping
from burnish.grading.text import normalise

Threshold = Annotated[float, Field(gt=0, le=1)]


@grader
def token_f1(answer: str, expected: str, *, threshold: Threshold = 0.5) -> Grade:
    """F1 of the normalised words, as multisets; passes at `threshold` or more, and the score is the F1.

    Source: SQuAD v1.1 evaluation script (Rajpurkar et al. 2016).
    """
    wanted, got = normalise(expected).split(), normalise(answer).split()
    if not wanted:
        return skipping("nothing of the expected answer is left after normalisation: use `exact`")
    common = (Counter(wanted) & Counter(got)).total()
    f1 = 2 * common / (len(wanted) + len(got))
    detail = f"F1 {f1:.2f}, {common} of {len(wanted)} expected words"
    return passing(detail, f1) if f1 >= threshold else failing("low-overlap", detail, f1)
