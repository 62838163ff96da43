"""What is read of a review: where its questions stand, its history, and what it took. Nothing is written here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, func, select

from burnish.curation.review.items import Correction, Judgement
from burnish.schemas.review import CORRECTIONS, PREFERENCES, Preference, ReviewEffort, ReviewEvent, ReviewState
from burnish_curator.database import (
    ReviewEventRow,
    ReviewItemRow,
    ReviewLeaseRow,
    ReviewLogRow,
    ReviewSuggestionRow,
    transaction,
)

ROWS_AT_ONCE = 500
RECENT = 20
EVENTS: Any = ReviewEventRow.__table__
ITEMS: Any = ReviewItemRow.__table__
LEASES: Any = ReviewLeaseRow.__table__
LOGS: Any = ReviewLogRow.__table__
SUGGESTIONS: Any = ReviewSuggestionRow.__table__


@dataclass(frozen=True)
class Changes:
    """Where questions stand that changed after `sequence` of an earlier look. generation: another one means that events were removed."""

    generation: int
    sequence: int
    states: list[tuple[str, ReviewState]]


class ReviewHistory:
    """Thread-safe."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def current(self, run_log_id: str) -> dict[str, Correction]:
        """The corrections that stand, by question id."""
        query = standing_events(
            EVENTS.c.question_id, EVENTS.c.failure_label, EVENTS.c.output, EVENTS.c.prompt_key, EVENTS.c.state
        ).where(ITEMS.c.run_log_id == run_log_id, ITEMS.c.state.in_(CORRECTIONS))
        with transaction(self._database) as connection:
            return {row.question_id: Correction(*row) for row in connection.execute(query)}

    def judgements(self, run_log_id: str) -> dict[str, Judgement]:
        """The preferences that stand, by question id."""
        query = standing_events(EVENTS).where(ITEMS.c.run_log_id == run_log_id, ITEMS.c.state.in_(PREFERENCES))
        with transaction(self._database) as connection:
            events = [event_of(row) for row in connection.execute(query)]
        return {
            e.question_id: Judgement(e.question_id, e.failure_label, e.preference, e.prompt_key)
            for e in events
            if e.preference
        }

    def counts(self) -> dict[str, int]:
        """How many questions of each run log are decided, by its id; one without any is left out."""
        query = select(ITEMS.c.run_log_id, func.count()).where(ITEMS.c.state != "open").group_by(ITEMS.c.run_log_id)
        with transaction(self._database) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def standing(self, run_log_id: str, question_ids: Collection[str] | None = None) -> dict[str, ReviewEvent]:
        """The event that stands for each of these questions (None: of all); one that nobody has decided about is left out."""
        with transaction(self._database) as connection:
            return self.read(connection, run_log_id, question_ids)

    def changes(self, run_log_id: str, generation: int, sequence: int) -> Changes:
        """What changed since then; everything if the generation is another now."""
        with transaction(self._database) as connection:
            found = connection.execute(
                select(LOGS.c.generation, LOGS.c.sequence).where(LOGS.c.run_log_id == run_log_id)
            ).one_or_none()
            if found is None:
                return Changes(0, 0, [])
            after = sequence if found.generation == generation else -1
            if after >= found.sequence:
                return Changes(found.generation, found.sequence, [])
            query = select(ITEMS.c.question_id, ITEMS.c.state).where(
                ITEMS.c.run_log_id == run_log_id, ITEMS.c.sequence > after
            )
            return Changes(found.generation, found.sequence, [(row[0], row[1]) for row in connection.execute(query)])

    def history(self, run_log_id: str, question_id: str | None, before: int | None, limit: int) -> list[ReviewEvent]:
        """Newest first; of one question or of all. before: only events with a smaller number."""
        query = select(EVENTS).where(EVENTS.c.run_log_id == run_log_id).order_by(EVENTS.c.sequence.desc()).limit(limit)
        if question_id is not None:
            query = query.where(EVENTS.c.question_id == question_id)
        if before is not None:
            query = query.where(EVENTS.c.sequence < before)
        with transaction(self._database) as connection:
            return [event_of(row) for row in connection.execute(query)]

    def effort(self, run_log_id: str, question_ids: Collection[str] | None = None) -> ReviewEffort:
        """What these questions (None: all) took, over every decision about them that was measured."""
        items, reviewers, seconds = set(), set(), 0.0
        columns = EVENTS.c.question_id, EVENTS.c.author, EVENTS.c.seconds
        with transaction(self._database) as connection:
            for chosen in pieces(question_ids):
                query = select(*columns).where(EVENTS.c.run_log_id == run_log_id, EVENTS.c.seconds.is_not(None))
                if chosen is not None:
                    query = query.where(EVENTS.c.question_id.in_(chosen))
                for question_id, author, spent in connection.execute(query):
                    items.add(question_id)
                    reviewers.add(author)
                    seconds += spent
        return ReviewEffort(items=len(items), seconds=round(seconds, 1), reviewers=len(reviewers))

    def recent_seconds(self, run_log_id: str) -> list[float]:
        """Of the last 20 decisions that were measured."""
        query = (
            select(EVENTS.c.seconds)
            .where(EVENTS.c.run_log_id == run_log_id, EVENTS.c.seconds.is_not(None))
            .order_by(EVENTS.c.sequence.desc())
            .limit(RECENT)
        )
        with transaction(self._database) as connection:
            return [row[0] for row in connection.execute(query)]

    def opinions(self, run_log_id: str) -> list[tuple[ReviewEvent, ReviewEvent]]:
        """(what the first reviewer decided, what the second) of every second opinion that was not taken back."""
        first, undone = EVENTS.alias(), EVENTS.alias()
        query = (
            select(EVENTS, *(column.label(f"first_{column.name}") for column in first.c))
            .join(first, (first.c.run_log_id == EVENTS.c.run_log_id) & (first.c.sequence == EVENTS.c.previous))
            .where(EVENTS.c.run_log_id == run_log_id, EVENTS.c.second)
            .where(
                ~select(undone.c.sequence)
                .where(undone.c.run_log_id == run_log_id, undone.c.undoes == EVENTS.c.action)
                .exists()
            )
            .order_by(EVENTS.c.sequence)
        )
        with transaction(self._database) as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        names = [column.name for column in EVENTS.c]
        return [(event_of({name: row[f"first_{name}"] for name in names}), event_of(row)) for row in rows]

    def not_for(self, run_log_id: str, reviewer: str) -> set[str]:
        """Questions that this reviewer has decided, or that have a second opinion already."""
        opinions = EVENTS.alias()
        has_opinion = (
            select(opinions.c.sequence)
            .where(opinions.c.run_log_id == EVENTS.c.run_log_id, opinions.c.question_id == EVENTS.c.question_id)
            .where(opinions.c.second)
            .exists()
        )
        query = standing_events(EVENTS.c.question_id).where(
            ITEMS.c.run_log_id == run_log_id, (EVENTS.c.author == reviewer) | has_opinion
        )
        with transaction(self._database) as connection:
            return set(connection.execute(query).scalars())

    def read(
        self, connection: Connection, run_log_id: str, question_ids: Collection[str] | None
    ) -> dict[str, ReviewEvent]:
        found: dict[str, ReviewEvent] = {}
        for chosen in pieces(question_ids):
            query = standing_events(EVENTS).where(ITEMS.c.run_log_id == run_log_id)
            if chosen is not None:
                query = query.where(ITEMS.c.question_id.in_(chosen))
            found |= {row.question_id: event_of(row) for row in connection.execute(query)}
        return found


def standing_events(*columns: Any) -> Select[Any]:
    """Of the events that stand."""
    return select(*columns).join(
        ITEMS, (ITEMS.c.run_log_id == EVENTS.c.run_log_id) & (ITEMS.c.sequence == EVENTS.c.sequence)
    )


def event_of(row: Row[Any] | dict[str, Any]) -> ReviewEvent:
    values = row if isinstance(row, dict) else row._mapping
    at: datetime = values["at"]
    stored = values["preference"]
    known = {name: values[name] for name in ReviewEvent.model_fields if name not in ("at", "preference")}
    return ReviewEvent(
        **known,
        at=at if at.tzinfo else at.replace(tzinfo=UTC),  # SQLite keeps no time zone
        preference=Preference.model_validate_json(stored) if stored else None,
    )


def pieces(question_ids: Collection[str] | None) -> Iterator[list[str] | None]:
    """The ids in lists that a statement can hold; None for None."""
    if question_ids is None:
        yield None
        return
    listed = list(question_ids)
    for start in range(0, len(listed), ROWS_AT_ONCE):
        yield listed[start : start + ROWS_AT_ONCE]
