"""The durable job queue: the only file that reads and writes the tables. Called by servicer and engine, in threads.

Every method is one transaction. Whoever runs a job proves it by (engine_id, attempt): a caller that no longer holds the
job gets LeaseLost and must stop its worker.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from burnish.errors import AlreadyExistsError, BurnishError, NotFoundError, PreconditionError
from burnish_trainer.database import Database
from burnish_trainer.events import CheckpointSaved, Event, Failed, Metrics, Note, Succeeded, Suspended
from burnish_trainer.jobs import Job, JobEvent, State
from burnish_trainer.spec import JobSpec
from burnish_trainer.tables import EventRow, JobRow

ENDED = tuple(state.value for state in State if state.ended)


class LeaseLost(Exception):
    """The job was taken by another engine, or has ended. Stop its worker and forget it."""


class JobRepository:
    """See the module's docstring. Times are this process's clock, in UTC."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_request(self, request_id: str, request_digest: str) -> Job | None:
        """The job that this request made before; AlreadyExistsError where the request had another body."""
        with self._database.reading() as session:
            row = session.scalar(select(JobRow).where(JobRow.request_id == request_id))
        if row is None:
            return None
        if row.request_digest != request_digest:
            raise AlreadyExistsError(
                f"request_id {request_id!r} made {row.job_id} from another spec: send a new request_id",
                request_id=request_id,
                job_id=row.job_id,
            )
        return _job(row)

    def create(self, spec: JobSpec, request_id: str | None, request_digest: str) -> Job:
        """Queue a job; of racers with one request_id exactly one makes it, and the others get that one."""
        row = JobRow(
            job_id=f"job-{secrets.token_hex(8)}",
            request_id=request_id,
            request_digest=request_digest,
            spec=spec.model_dump(mode="json"),
            state=State.PENDING.value,
            create_time=_now(),
            attempts=0,
            strikes=0,
            event_offset=0,
            last_sequence=0,
            cancel_requested=False,
        )
        try:
            with self._database.writing() as session:
                session.add(row)
                session.flush()
                _add_state(session, row, State.PENDING)
                return _job(row)
        except IntegrityError:
            made = self.by_request(request_id, request_digest) if request_id else None
            if made is None:
                raise
            return made

    def get(self, job_id: str) -> Job:
        with self._database.reading() as session:
            return _job(_row(session, job_id))

    def newest(self, states: Sequence[State], limit: int, before: tuple[datetime, str] | None) -> list[Job]:
        """Newest first; `before` is (create_time, job_id) of the last one already seen."""
        query = select(JobRow).order_by(JobRow.create_time.desc(), JobRow.job_id.desc()).limit(limit)
        if states:
            query = query.where(JobRow.state.in_([state.value for state in states]))
        if before is not None:
            query = query.where(tuple_(JobRow.create_time, JobRow.job_id) < before)
        with self._database.reading() as session:
            return [_job(row) for row in session.scalars(query)]

    def events_after(self, job_id: str, after_sequence: int, limit: int) -> list[JobEvent]:
        """Ascending; empty where there is nothing new. NotFoundError where there is no such job."""
        query = (
            select(EventRow)
            .where(EventRow.job_id == job_id, EventRow.sequence > after_sequence)
            .order_by(EventRow.sequence)
            .limit(limit)
        )
        with self._database.reading() as session:
            _row(session, job_id)
            return [_event(row) for row in session.scalars(query)]

    def cancel(self, job_id: str) -> Job:
        """End a pending job at once; tell the engine of a running one. PreconditionError where it has ended."""
        with self._database.writing() as session:
            row = _row(session, job_id, lock=True)
            if State(row.state).ended:
                raise PreconditionError(f"{job_id} has already {row.state}: nothing to cancel", job_id=job_id)
            row.cancel_requested = True
            if row.state == State.PENDING:
                _end(session, row, State.CANCELLED)
            return _job(row)

    def claim(self, engine_id: str, active: Sequence[str], lease_seconds: float) -> Job | None:
        """Take the oldest job that nobody runs: pending, or running with an engine that is gone.

        active: what this engine already runs; any other running job under its id was left by its former process.
        A single UPDATE takes the row, so of racing engines exactly one gets it.
        """
        now = _now()
        free = _claimable(engine_id, active, now)
        oldest = (
            select(JobRow.job_id)
            .where(free)
            .order_by(JobRow.create_time, JobRow.job_id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        take = (
            update(JobRow)
            .where(JobRow.job_id == oldest.scalar_subquery(), free)
            .values(engine_id=engine_id, lease_until=now + timedelta(seconds=lease_seconds))
            .returning(JobRow)
            .execution_options(synchronize_session=False)
        )
        with self._database.writing() as session:
            row = session.scalar(take)
            if row is None:
                return None
            if row.state == State.PENDING:
                row.state = State.RUNNING.value
                row.start_time = row.start_time or now
                _add_state(session, row, State.RUNNING)
            return _job(row)

    def renew(self, job_id: str, engine_id: str, lease_seconds: float) -> Job:
        """Keep the job for longer. LeaseLost where it is no longer this engine's."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id)
            row.lease_until = _now() + timedelta(seconds=lease_seconds)
            return _job(row)

    def start_attempt(self, job_id: str, engine_id: str) -> Job:
        """Count a worker about to be started; its events begin at offset 0."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id)
            row.attempts += 1
            row.strikes += 1
            row.event_offset = 0
            row.error = None
            return _job(row)

    def ingest(self, job_id: str, engine_id: str, events: Sequence[Event], offset: int, new_offset: int) -> Job:
        """Take in the events read between two offsets; both the events and the offset are kept, or neither."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id)
            if row.event_offset != offset:
                raise LeaseLost(f"{job_id}: events up to {row.event_offset} are known, these begin at {offset}")
            row.event_offset = new_offset
            for event in events:
                _take_in(session, row, event)
            return _job(row)

    def end(self, job_id: str, engine_id: str, state: State, error: BurnishError | None = None) -> Job:
        """End a running job as FAILED or CANCELLED."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id)
            row.error = error.to_dict() if error else None
            _end(session, row, state)
            return _job(row)

    def release(self, job_id: str, engine_id: str, message: str) -> Job:
        """Put a running job back into the queue, since this trainer stops; the attempt does not count against it."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id)
            row.strikes = max(0, row.strikes - 1)
            row.engine_id = row.lease_until = None
            row.state = State.PENDING.value
            _add(session, row, message=message)
            _add_state(session, row, State.PENDING)
            return _job(row)

    def note(self, job_id: str, engine_id: str, message: str) -> Job:
        """Add a line for people to the job's events."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id)
            _add(session, row, message=message)
            return _job(row)


def _claimable(engine_id: str, active: Sequence[str], now: datetime) -> ColumnElement[bool]:
    left_behind = and_(JobRow.engine_id == engine_id, JobRow.job_id.not_in(list(active)))
    abandoned = and_(JobRow.state == State.RUNNING.value, or_(JobRow.lease_until < now, left_behind))
    return or_(JobRow.state == State.PENDING.value, abandoned)


def _take_in(session: Session, row: JobRow, event: Event) -> None:
    match event:
        case Metrics():
            _add_metrics(session, row, event)
        case Note():
            _add(session, row, event.time, message=event.message)
        case CheckpointSaved():
            row.strikes = 0
            _add(session, row, event.time, message=event.message)
        case Succeeded():
            row.adapter = event.adapter.model_dump(mode="json")
            _end(session, row, State.SUCCEEDED)
        case Failed() if not event.retry:
            row.error = event.error
            _end(session, row, State.FAILED)
        case Failed():
            row.error = event.error
            _add(session, row, event.time, message=f"attempt {row.attempts} failed: {event.error['message']}")
        case Suspended():
            _add(session, row, event.time, message=f"stopped after step {event.step}")


def _add_metrics(session: Session, row: JobRow, event: Metrics) -> None:
    """A step told before is replaced in place (it was run again after a resume), so a series never doubles a step."""
    values = event.model_dump(mode="json", exclude={"time", "kind", "repeated"}, exclude_none=True)
    told = session.scalar(
        select(EventRow).where(
            EventRow.job_id == row.job_id, EventRow.step == event.step, EventRow.series == event.series
        )
    )
    if told is None:
        _add(session, row, event.time, step=event.step, series=event.series, metrics=values)
    elif not event.repeated:
        told.time, told.metrics = event.time, values
    if not event.repeated:
        known = row.progress or {}
        row.progress = ({} if known.get("step", 0) > event.step else known) | values


def _end(session: Session, row: JobRow, state: State) -> None:
    row.state = state.value
    row.end_time = _now()
    row.engine_id = row.lease_until = None
    _add_state(session, row, state)


def _add_state(session: Session, row: JobRow, state: State) -> None:
    _add(session, row, state=state.value)


def _add(session: Session, row: JobRow, time: datetime | None = None, **columns: Any) -> None:
    row.last_sequence += 1
    session.add(EventRow(job_id=row.job_id, sequence=row.last_sequence, time=time or _now(), **columns))
    session.flush()


def _row(session: Session, job_id: str, lock: bool = False) -> JobRow:
    row = session.get(JobRow, job_id, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"there is no tuning job {job_id!r}: `burnish jobs ls` lists them", job_id=job_id)
    return row


def _held(session: Session, job_id: str, engine_id: str) -> JobRow:
    row = _row(session, job_id, lock=True)
    if row.engine_id != engine_id or row.state != State.RUNNING:
        raise LeaseLost(f"{job_id} is {row.state} under engine {row.engine_id}")
    return row


def _job(row: JobRow) -> Job:
    columns = {name: getattr(row, name) for name in Job.model_fields if name != "progress"}
    return Job.model_validate(
        columns | {"progress": {"time": row.create_time, **row.progress} if row.progress else None}
    )


def _event(row: EventRow) -> JobEvent:
    return JobEvent(
        sequence=row.sequence,
        time=row.time,
        state=State(row.state) if row.state else None,
        metrics=Metrics.model_validate(row.metrics | {"time": row.time}) if row.metrics else None,
        message=row.message,
    )


def _now() -> datetime:
    return datetime.now(UTC)
