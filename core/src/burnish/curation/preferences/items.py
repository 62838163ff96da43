"""Preferences in a line of the review file, out and in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from burnish.curation.preferences.answers import Answer
from burnish.curation.preferences.pairs import pairs_of
from burnish.schemas.review import THUMBS, Preference, ReviewEvent
from burnish.schemas.runlog import ReviewItem


def preferred_fields(question_id: str, event: ReviewEvent | None, answers: Sequence[Answer]) -> dict[str, Any]:
    """Fields of an item: two answers that may be compared; or those that were compared or rated, as they were then."""
    stands = event.preference if event else None
    fields: dict[str, Any] = {}
    for pair in pairs_of(question_id, answers)[:1]:
        fields = {"answer_a": pair.a.text, "answer_b": pair.b.text}
    if event is None or stands is None:
        return fields
    about = {"original_answer": stands.a} if stands.choice in THUMBS else {"answer_a": stands.a, "answer_b": stands.b}
    same = {"failure_label": event.failure_label, "prompt_key": event.prompt_key}
    return fields | about | same | {"preference": stands.choice}


def preference_of(item: ReviewItem) -> Preference | None:
    """None if the line has none."""
    if not item.preference:
        return None
    if item.preference in THUMBS:
        return Preference(choice=item.preference, a=item.original_answer)
    return Preference(choice=item.preference, a=item.answer_a, b=item.answer_b)
