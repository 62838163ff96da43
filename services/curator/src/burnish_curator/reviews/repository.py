"""What people decided, in the database: a history that only grows, and where each question stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from burnish.schemas.review import CORRECTIONS, PREFERENCES, Preference, ReviewEvent, ReviewState
from burnish_curator.database import transaction
from burnish_curator.reviews.history import EVENTS, ITEMS, LEASES, LOGS, SUGGESTIONS, ReviewHistory, event_of, pieces
from burnish_curator.reviews.opinions import in_words, meant


@dataclass(frozen=True)
class Decided:
    """A decision that was checked, ready to be kept. version: of the event that was looked at; None: whatever stands is replaced.

    prompt_key: of the prompt that was looked at; None: not known.
    """

    question_id: str
    failure_label: str
    state: ReviewState
    output: str = ""
    reason: str = ""
    version: int | None = None
    seconds: float | None = None
    prompt_key: str | None = None
    preference: Preference | None = None

    def repeats(self, standing: ReviewEvent | None) -> bool:
        """Whether nothing would change."""
        if standing is None:
            return self.state == "open"
        if self.state == standing.state == "open":
            return True
        ours = (self.state, self.failure_label, self.output, self.reason, self.preference)
        theirs = (standing.state, standing.failure_label, standing.output, standing.reason, standing.preference)
        is_text = self.state in (*CORRECTIONS, *PREFERENCES)
        return ours == theirs and (not is_text or self.prompt_key in (None, standing.prompt_key))

    def tied(self, standing: ReviewEvent | None) -> Decided:
        """For the prompt of what stands, if it says the same of answers and does not say for which it is."""
        says = self.output, self.preference
        if self.prompt_key is None and any(says) and standing and says == (standing.output, standing.preference):
            return replace(self, prompt_key=standing.prompt_key)
        return self


@dataclass
class Recorded:
    """events: what was added. replaced: those of them that changed the text of a correction. removed: corrections that were taken back.

    conflicts: decisions that were not kept, with what somebody else decided meanwhile.
    """

    events: list[ReviewEvent] = field(default_factory=list)
    replaced: int = 0
    removed: int = 0
    conflicts: list[tuple[Decided, ReviewEvent]] = field(default_factory=list)


class CorrectionRepository(ReviewHistory):
    """What is read of a review, and what is written. Thread-safe, and safe beside other processes."""

    def record(
        self,
        run_log_id: str,
        decided: Sequence[Decided],
        author: str,
        *,
        second: bool = False,
        any_conflict: bool = True,
        own_conflicts: bool = True,
    ) -> Recorded:
        """Keep all of them as one action, but for those that change nothing.

        A decision about a question that changed since its version is a conflict and is not kept; with `any_conflict`
        false, nothing is kept then, and with `own_conflicts` false, what this author decided meanwhile is replaced.
        second: opinions, which are kept beside what stands.
        """
        with transaction(self._database) as connection:
            start = lock_log(connection, run_log_id, len(decided))
            before = self.read(connection, run_log_id, [each.question_id for each in decided])
            done = Recorded()
            kept: list[Decided] = []
            for each in decided:
                standing = before.get(each.question_id)
                if each.repeats(standing) and not second:
                    continue
                is_own = standing is not None and standing.author == author and not own_conflicts
                if standing and each.version not in (None, standing.sequence) and not is_own:
                    done.conflicts.append((each, standing))
                else:
                    kept.append(each.tied(standing))
            if done.conflicts and not any_conflict:
                return done
            self._add(connection, run_log_id, kept, author, start, before, done, second=second)
            if second:
                disputed = [
                    _disputed(each, before[each.question_id], author) for each in kept if _differs(each, before)
                ]
                more = lock_log(connection, run_log_id, len(disputed))
                self._add(connection, run_log_id, disputed, author, more, before, done, action=start)
            return done

    def undo(self, run_log_id: str, author: str) -> Recorded | None:
        """Take back the newest action of this author that stands, and restore what stood before. None if there is none.

        Questions that somebody decided about since stay as they are: those are the conflicts.
        """
        undone = EVENTS.alias()
        newest = (
            select(EVENTS.c.action)
            .where(EVENTS.c.run_log_id == run_log_id, EVENTS.c.author == author, EVENTS.c.undoes.is_(None))
            .where(
                ~select(undone.c.sequence)
                .where(undone.c.run_log_id == run_log_id, undone.c.undoes == EVENTS.c.action)
                .exists()
            )
            .order_by(EVENTS.c.sequence.desc())
            .limit(1)
        )
        with transaction(self._database) as connection:
            lock_log(connection, run_log_id, 0)
            action = connection.execute(newest).scalar_one_or_none()
            if action is None:
                return None
            taken = [
                event_of(row)
                for row in connection.execute(
                    select(EVENTS).where(EVENTS.c.run_log_id == run_log_id, EVENTS.c.action == action)
                )
            ]
            return self._restore(connection, run_log_id, action, taken, author)

    def remove_all(self, run_log_id: str) -> int:
        """The whole review of one run log; how many corrections it had."""
        with transaction(self._database) as connection:
            removed = connection.execute(
                select(func.count()).where(ITEMS.c.run_log_id == run_log_id, ITEMS.c.state.in_(CORRECTIONS))
            ).scalar_one()
            for table in (EVENTS, ITEMS, LEASES, SUGGESTIONS):
                connection.execute(delete(table).where(table.c.run_log_id == run_log_id))
            self._next_generation(connection, run_log_id)
            return int(removed)

    def erase(self, run_log_id: str, question_ids: Collection[str]) -> tuple[int, int]:
        """Remove every event, state, lease and suggestion of these questions. Nothing is left in the file.

        How many questions somebody had decided about, and how many suggestions there were.
        """
        removed: Counter[str] = Counter()
        with transaction(self._database) as connection:
            for chosen in pieces(question_ids):
                for table in (ITEMS, LEASES, EVENTS, SUGGESTIONS):
                    where = (table.c.run_log_id == run_log_id) & table.c.question_id.in_(chosen or ())
                    removed[table.name] += connection.execute(delete(table).where(where)).rowcount
            self._next_generation(connection, run_log_id)
        if self._database.dialect.name == "sqlite":
            with self._database.connect() as plain:  # the write-ahead log still has the pages as they were
                plain.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
        return removed[ITEMS.name], removed[SUGGESTIONS.name]

    def _next_generation(self, connection: Connection, run_log_id: str) -> None:
        statement = _insert(connection, LOGS).values(run_log_id=run_log_id, sequence=0, generation=1)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["run_log_id"], set_={"generation": LOGS.c.generation + 1})
        )

    def _restore(
        self, connection: Connection, run_log_id: str, action: int, taken: Sequence[ReviewEvent], author: str
    ) -> Recorded:
        standing = self.read(connection, run_log_id, {event.question_id for event in taken})
        previous = self._previous(connection, run_log_id, action)
        done, kept, restores = Recorded(), [], []
        deciding = {event.question_id for event in taken if not event.second}
        for event in taken:
            now = standing[event.question_id]
            if event.second and event.question_id in deciding:
                continue  # the event that the opinion led to is taken back for both
            if not event.second and _content(now) != event.sequence:
                if now.author != author:
                    done.conflicts.append((_as_decided(event), now))
                continue
            before = now if event.second else previous.get(event.question_id)
            kept.append(_as_decided(before) if before else Decided(event.question_id, event.failure_label, "open"))
            restores.append(_content(before) if before else 0)
        start = lock_log(connection, run_log_id, len(kept))
        self._add(connection, run_log_id, kept, author, start, standing, done, undoes=action, restores=restores)
        return done

    def _previous(self, connection: Connection, run_log_id: str, action: int) -> dict[str, ReviewEvent]:
        """The events that stood before an action, by question id."""
        taken = EVENTS.alias()
        query = (
            select(EVENTS)
            .join(taken, (taken.c.run_log_id == EVENTS.c.run_log_id) & (taken.c.previous == EVENTS.c.sequence))
            .where(taken.c.run_log_id == run_log_id, taken.c.action == action)
        )
        return {row.question_id: event_of(row) for row in connection.execute(query)}

    def _add(
        self,
        connection: Connection,
        run_log_id: str,
        kept: Sequence[Decided],
        author: str,
        start: int,
        before: dict[str, ReviewEvent],
        done: Recorded,
        *,
        second: bool = False,
        action: int | None = None,
        undoes: int | None = None,
        restores: Sequence[int] = (),
    ) -> None:
        """Write events and where their questions stand now."""
        now = datetime.now(UTC)
        rows = []
        for number, each in enumerate(kept):
            standing = before.get(each.question_id)
            done.replaced += _is_replaced(standing, each)
            done.removed += standing is not None and standing.state in CORRECTIONS and each.state not in CORRECTIONS
            rows.append(
                {
                    "run_log_id": run_log_id,
                    "sequence": start + number,
                    "question_id": each.question_id,
                    "failure_label": each.failure_label,
                    "state": each.state,
                    "output": each.output,
                    "reason": each.reason,
                    "author": author,
                    "at": now,
                    "seconds": each.seconds,
                    "action": action or start,
                    "previous": standing.sequence if standing else 0,
                    "undoes": undoes,
                    "restores": restores[number] if restores else None,
                    "second": second,
                    "prompt_key": each.prompt_key,
                    "preference": each.preference.model_dump_json() if each.preference else None,
                }
            )
        done.events += [event_of(row) for row in rows]
        if not rows:
            return
        connection.execute(insert(EVENTS), rows)
        if second:
            return
        statement = _insert(connection, ITEMS)
        statement = statement.on_conflict_do_update(
            index_elements=["run_log_id", "question_id"],
            set_={name: statement.excluded[name] for name in ("state", "sequence")},
        )
        names = ("run_log_id", "question_id", "state", "sequence")
        connection.execute(statement, [{name: row[name] for name in names} for row in rows])


def lock_log(connection: Connection, run_log_id: str, count: int = 0) -> int:
    """Hold the run log's row until the transaction ends, and take `count` numbers; the first of them."""
    statement = _insert(connection, LOGS).values(run_log_id=run_log_id, sequence=count, generation=0)
    statement = statement.on_conflict_do_update(
        index_elements=["run_log_id"], set_={"sequence": LOGS.c.sequence + count}
    ).returning(LOGS.c.sequence)
    return int(connection.execute(statement).scalar_one()) - count + 1


def _is_replaced(standing: ReviewEvent | None, decided: Decided) -> bool:
    is_both = standing is not None and standing.state in CORRECTIONS and decided.state in CORRECTIONS
    return is_both and standing is not None and standing.output != decided.output


def _differs(opinion: Decided, before: dict[str, ReviewEvent]) -> bool:
    """Whether a second reviewer means something else."""
    first, second = meant(before[opinion.question_id], opinion)
    return first != second


def _disputed(opinion: Decided, first: ReviewEvent, author: str) -> Decided:
    reason = f"Reviewers disagree. {first.author or 'somebody'}: {in_words(first)}; {author}: {in_words(opinion)}"
    return Decided(opinion.question_id, first.failure_label, "unsure", reason=reason, prompt_key=first.prompt_key)


def _content(event: ReviewEvent) -> int:
    """The event that first had this one's content; 0 if that is nothing."""
    return event.sequence if event.restores is None else event.restores


def _as_decided(event: ReviewEvent) -> Decided:
    return Decided(
        event.question_id,
        event.failure_label,
        event.state,
        event.output,
        event.reason,
        prompt_key=event.prompt_key,
        preference=event.preference,
    )


def _insert(connection: Connection, table: Any) -> Any:
    """An insert that knows `on_conflict_do_update`."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
