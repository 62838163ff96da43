"""What a decision with a preference must be, and whose answers it is about."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.curation.preferences.answers import Answer
from burnish.schemas.review import COMPARISONS, PREFERENCES, THUMBS, ReviewDecision


def with_known_answers(decision: ReviewDecision, answers: Sequence[Answer]) -> ReviewDecision:
    """With whose answers its preference is about. White space around them, and line ends, may differ: files and forms change them."""
    if decision.preference is None:
        return decision
    known = {_same(answer.text): answer for answer in answers}
    changed: dict[str, str] = {}
    for side in ("a", "b"):
        text = getattr(decision.preference, side)
        answer = known.get(_same(text)) if text.strip() else None
        changed |= {side: answer.text if answer else text, f"{side}_source": answer.source if answer else ""}
    return decision.model_copy(update={"preference": decision.preference.model_copy(update=changed)})


def preference_refusal(decision: ReviewDecision, answers: Sequence[Answer]) -> str | None:
    """Why nobody can prefer that; None where they can. answers: what there is to the prompt, the one that the item is about first."""
    preference = decision.preference
    if decision.state not in PREFERENCES:
        return (
            f"preference: an item that is {decision.state} has none: empty it, or {_instead(decision)}"
            if preference
            else None
        )
    wanted = COMPARISONS if decision.state == "compared" else THUMBS
    if preference is None or preference.choice not in wanted:
        return f"preference: an item that is {decision.state} needs one of {', '.join(wanted)}"
    if decision.output:
        return "corrected_output: an item with a preference has none; keep one of both"
    if decision.state == "rated":
        if not answers or preference.a != answers[0].text:
            return "preference: a thumb is about the answer that the item shows, which must be text and not empty"
        return "answer_b: a thumb is about one answer" if preference.b else None
    known = {answer.text for answer in answers}
    for name, text in (("answer_a", preference.a), ("answer_b", preference.b)):
        if text not in known:
            return f"{name}: this question has no such answer to this prompt; compare two that the item has"
    return "answer_b: the same as answer_a" if preference.a == preference.b else None


def _instead(decision: ReviewDecision) -> str:
    return "corrected_output" if decision.output else "state"


def _same(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
