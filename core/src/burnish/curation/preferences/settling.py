"""What a dataset makes of the preferences that people have of one prompt, in its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from burnish.schemas.dataset import DatasetFormat
from burnish.schemas.review import THUMBS, Preference

TIE = "no preference: a person judged the two answers alike (tie)"
NEITHER = "no preference: a person judged neither of two answers good"
COMPARED = "no correction: two answers were compared, of which only dpo makes a row"
RATED = "no correction: its answer has a thumb, of which only kto makes a row"
CONFLICT = "conflicting preferences of one prompt"


@dataclass(frozen=True)
class Settled:
    """question_id: the first whose preference becomes a row, or None. reason: why none does; None if nobody prefers anything."""

    question_id: str | None = None
    preference: Preference | None = None
    reason: str | None = None


def settle(preferences: Mapping[str, Preference], dataset_format: DatasetFormat) -> Settled:
    """preferences: of the questions that share a prompt, by question id."""
    usable = {q: p for q, p in sorted(preferences.items()) if _unusable(p, dataset_format) is None}
    if _contradict(usable):
        return Settled(reason=CONFLICT)
    for question_id, preference in usable.items():
        return Settled(question_id, preference)
    return Settled(reason=next((_unusable(p, dataset_format) for _, p in sorted(preferences.items())), None))


def _unusable(preference: Preference, dataset_format: DatasetFormat) -> str | None:
    """Why it makes no row; None if it makes one."""
    if preference.choice in THUMBS:
        return None if dataset_format == "kto" else RATED
    if dataset_format != "dpo":
        return COMPARED
    return {"tie": TIE, "neither": NEITHER}.get(preference.choice)


def _contradict(usable: Mapping[str, Preference]) -> bool:
    pairs = {preference.pair for preference in usable.values() if preference.pair}
    thumbs = {(preference.a, preference.choice) for preference in usable.values() if not preference.pair}
    return any((worse, better) in pairs for better, worse in pairs) or len({text for text, _ in thumbs}) < len(thumbs)
