"""What a decision means beside another about the same question, and how it reads in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from burnish.errors import ConflictError
from burnish.schemas.review import CORRECTIONS, Agreement, Preference, ReviewEvent, ReviewState
from burnish.statistics.agreement import krippendorff_alpha


class Decision(Protocol):
    """An event, or what becomes one."""

    @property
    def state(self) -> ReviewState: ...
    @property
    def reason(self) -> str: ...
    @property
    def preference(self) -> Preference | None: ...


def meant(first: Decision, second: Decision) -> tuple[str, str]:
    """What each of two says, equal if they agree: a state and, of a preference, which answer by the sides that the first reviewer saw.

    How a right answer was found makes no difference; which one it is does not either.
    """
    return _meaning(first, first.preference), _meaning(second, first.preference)


def _meaning(decision: Decision, sides: Preference | None) -> str:
    preference = decision.preference
    if decision.state in CORRECTIONS:
        return "correction"
    if preference is None:
        return decision.state
    if preference.pair is None or sides is None:
        return f"{decision.state} {preference.choice}"
    if {preference.a, preference.b} != {sides.a, sides.b}:
        return f"{decision.state} others"
    return f"{decision.state} {'a' if preference.pair[0] == sides.a else 'b'}"


def agreement(opinions: Iterable[tuple[ReviewEvent, ReviewEvent]]) -> Agreement | None:
    """Of (first, second) decisions about one question each; None if there are none."""
    pairs = [list(meant(first, second)) for first, second in opinions]
    if not pairs:
        return None
    return Agreement(items=len(pairs), same=sum(a == b for a, b in pairs), alpha=krippendorff_alpha(pairs))


def in_words(decision: Decision) -> str:
    """`dismissed (too vague)`, `preferred A (gpt-4o)`."""
    preference = decision.preference
    if preference is None:
        return decision.state + (f" ({decision.reason})" if decision.reason else "")
    side, source = preference.choice.upper(), preference.a_source if preference.choice == "a" else preference.b_source
    return {
        "tie": "a tie of A and B",
        "neither": "neither A nor B",
        "up": "thumb up",
        "down": "thumb down",
    }.get(preference.choice, f"preferred {side} ({source})" if source else f"preferred {side}")


def what_happened(event: ReviewEvent) -> str:
    """`mia dismissed it at 2026-11-29 12:03 UTC (the grade is wrong)`."""
    done = {"open": "reopened it", "unsure": "marked it as unsure"}.get(event.state, f"{event.state} it")
    said = in_words(event) if event.preference else event.reason
    reason = f" ({said})" if said else ""
    return f"{event.author or 'somebody'} {done} at {event.at:%Y-%m-%d %H:%M} UTC{reason}"


def conflict(standing: ReviewEvent) -> ConflictError:
    """Somebody was there meanwhile: who, when and what."""
    return ConflictError(
        f"{what_happened(standing)}, after you had opened it: compare both, then decide again",
        question_id=standing.question_id,
        author=standing.author,
        at=standing.at.isoformat(),
        state=standing.state,
        version=str(standing.sequence),
    )
