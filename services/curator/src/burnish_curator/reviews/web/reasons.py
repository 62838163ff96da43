"""The nine usual reasons to set an item aside: keys 1 to 9 on the page."""

from __future__ import annotations

from dataclasses import dataclass

from burnish.schemas.review import ReviewState


@dataclass(frozen=True)
class Reason:
    """short: what a button says; words: the reason that is kept."""

    state: ReviewState
    short: str
    words: str


REASONS = (
    Reason("dismissed", "Answer is fine", "the answer is right and the grade is wrong"),
    Reason("dismissed", "Question unclear", "the question cannot be answered as it was asked"),
    Reason("dismissed", "Evidence missing", "the evidence does not have the answer"),
    Reason("dismissed", "Duplicate", "another question asks the same"),
    Reason("dismissed", "Out of scope", "the model should not answer this"),
    Reason("unsure", "Cannot tell", "nobody can tell from this what is right"),
    Reason("unsure", "Ask an expert", "somebody who knows the subject must decide"),
    Reason("flagged", "Private data", "it has personal data or a secret"),
    Reason("flagged", "Contradiction", "the evidence contradicts itself"),
)
