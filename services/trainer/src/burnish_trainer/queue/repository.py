"""The durable job queue: with claims.py and records.py the only code that reads and writes the tables.

Called by servicer and engine, in threads; every method is one transaction. Whoever works on a job proves it by its
engine_id: a caller that no longer holds the job gets LeaseLost and must stop its worker.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import ValidationError
from sqlalchemy import and_, func, or_, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from burnish.errors import (
    AlreadyExistsError,
    BurnishError,
    CorruptDataError,
    DeadlineError,
    NotFoundError,
    PreconditionError,
)
from burnish.schemas.job import JobSpec
from burnish_trainer.executors.events import Event
from burnish_trainer.preflight.types import PastRun, Preview
from burnish_trainer.queue import claims
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.jobs import Job, JobEvent, State
from burnish_trainer.queue.records import add_event, keep_preview, move, now, take_in, to_event, to_job
from burnish_trainer.queue.tables import EventRow, JobRow, PastRunRow

log = logging.getLogger(__name__)

HELD = (State.PREPARING, State.RUNNING)
WAITING = (State.PENDING, State.PREPARING, State.PAUSED)


class LeaseLost(Exception):
    """The job was taken by another engine, paused or ended. Stop its worker and forget it."""


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
        return to_job(row)

    def create(
        self,
        spec: JobSpec,
        request_id: str | None,
        request_digest: str,
        priority: int = 0,
        labels: Mapping[str, str] | None = None,
        deadline: datetime | None = None,
        traceparent: str | None = None,
    ) -> Job:
        """Queue a job; of racers with one request_id exactly one makes it, and the others get that one."""
        row = JobRow(
            job_id=f"job-{secrets.token_hex(8)}",
            request_id=request_id,
            request_digest=request_digest,
            spec=spec.model_dump(mode="json"),
            state=State.PENDING.value,
            create_time=now(),
            attempts=0,
            strikes=0,
            failures=0,
            event_offset=0,
            last_sequence=0,
            cancel_requested=False,
            pause_requested=False,
            priority=priority,
            labels=dict(labels or {}),
            deadline=deadline,
            prepared=False,
            findings=[],
            devices=[],
            device_count=spec.device_count,
            overhead_seconds=0.0,
            adapter_name=spec.adapter_name,
            dataset_name=spec.dataset.name,
            traceparent=traceparent,
        )
        try:
            with self._database.writing() as session:
                session.add(row)
                session.flush()
                add_event(session, row, state=State.PENDING.value)
                return to_job(row)
        except IntegrityError:
            made = self.by_request(request_id, request_digest) if request_id else None
            if made is None:
                raise
            return made

    def get(self, job_id: str) -> Job:
        with self._database.reading() as session:
            return to_job(_row(session, job_id))

    def newest(
        self,
        states: Sequence[State],
        limit: int,
        before: tuple[datetime, str] | None,
        labels: Mapping[str, str] | None = None,
        adapter_name: str = "",
        dataset_name: str = "",
    ) -> list[Job]:
        """Newest first, of those that have all the labels and names given.

        before: (create_time, job_id) of the last one already seen.
        """
        query = select(JobRow).order_by(JobRow.create_time.desc(), JobRow.job_id.desc()).limit(limit)
        if states:
            query = query.where(JobRow.state.in_([state.value for state in states]))
        if adapter_name:
            query = query.where(JobRow.adapter_name == adapter_name)
        if dataset_name:
            query = query.where(JobRow.dataset_name == dataset_name)
        for name, value in (labels or {}).items():
            query = query.where(JobRow.labels[name].as_string() == value)
        if before is not None:
            query = query.where(tuple_(JobRow.create_time, JobRow.job_id) < before)
        with self._database.reading() as session:
            return [to_job(row) for row in session.scalars(query)]

    def waiting_and_running(self) -> dict[State, int]:
        """How many jobs there are in each state that is no end, 0 included. Reads an index alone, so a scrape may ask it."""
        open_states = [state for state in State if not state.ended]
        query = (
            select(JobRow.state, func.count())
            .where(JobRow.state.in_([state.value for state in open_states]))
            .group_by(JobRow.state)
        )
        with self._database.reading() as session:
            counted = {State(state): count for state, count in session.execute(query)}
        return {state: counted.get(state, 0) for state in open_states}

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
            return [to_event(row) for row in session.scalars(query)]

    def past_runs(self, kind: str, limit: int) -> list[PastRun]:
        """preparation.PastRuns: newest first."""
        query = (
            select(JobRow.spec, PastRunRow.workload, PastRunRow.measured)
            .join(JobRow, JobRow.job_id == PastRunRow.job_id)
            .where(PastRunRow.kind == kind)
            .order_by(PastRunRow.time.desc())
            .limit(limit)
        )
        with self._database.reading() as session:
            return [
                PastRun.model_validate({"spec": spec, "workload": workload, "measured": measured})
                for spec, workload, measured in session.execute(query)
            ]

    def cancel(self, job_id: str) -> Job:
        """End a job at once, or tell the engine that runs it. PreconditionError where it has ended."""
        with self._database.writing() as session:
            row = _row(session, job_id, lock=True)
            if State(row.state).ended:
                raise PreconditionError(f"{job_id} has already {row.state}: nothing to cancel", job_id=job_id)
            row.cancel_requested = True
            if row.state != State.RUNNING:
                move(session, row, State.CANCELLED)
            return to_job(row)

    def pause(self, job_id: str) -> Job:
        """Pause a job at once, or tell the engine that runs it; a paused one stays so.

        PreconditionError where it has ended or is being cancelled.
        """
        with self._database.writing() as session:
            row = _row(session, job_id, lock=True)
            if State(row.state).ended:
                raise PreconditionError(f"{job_id} has already {row.state}: nothing to pause", job_id=job_id)
            if row.cancel_requested:
                raise PreconditionError(f"{job_id} is being cancelled: it cannot be paused", job_id=job_id)
            if row.state == State.RUNNING:
                row.pause_requested = True
            elif row.state != State.PAUSED:
                move(session, row, State.PAUSED)
            return to_job(row)

    def resume(self, job_id: str) -> Job:
        """Queue a paused job again, its failures forgotten; a pause under way is withdrawn.

        PreconditionError where it is neither paused nor about to be.
        """
        with self._database.writing() as session:
            row = _row(session, job_id, lock=True)
            if row.state == State.PAUSED:
                row.strikes = row.failures = 0
                move(session, row, State.PENDING)
            elif row.pause_requested:
                row.pause_requested = False
            else:
                raise PreconditionError(f"{job_id} is {row.state}: only a paused job can be resumed", job_id=job_id)
            return to_job(row)

    def claim_preparation(self, engine_id: str, active: Sequence[str], lease_seconds: float) -> Job | None:
        """Take the next unprepared job. active: what this engine works on already."""
        with self._database.writing() as session:
            time = now()
            take = claims.for_preparation(engine_id, active, time, time + timedelta(seconds=lease_seconds))
            return _claimed(session, session.scalar(take), State.PREPARING)

    def claim_device(
        self, engine_id: str, active: Sequence[str], free: Sequence[str], all_devices: int, lease_seconds: float
    ) -> Job | None:
        """Take the next prepared job onto the first of the free devices; None where they are too few for it.

        all_devices: how many one job could have here at most.
        """
        with self._database.writing() as session:
            time = now()
            until = time + timedelta(seconds=lease_seconds)
            row = session.scalar(claims.for_devices(engine_id, active, len(free), all_devices, time, until))
            if row is not None:
                row.devices = list(free[: row.device_count])
            return _claimed(session, row, State.RUNNING)

    def renew(self, job_id: str, engine_id: str, lease_seconds: float) -> Job:
        """Keep the job for longer. LeaseLost where it is no longer this engine's."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id, *HELD)
            row.lease_until = now() + timedelta(seconds=lease_seconds)
            return to_job(row)

    def prepared(self, job_id: str, engine_id: str, preview: Preview, refusal: BurnishError | None) -> Job:
        """Write a preparation's outcome: the job waits for a device, or has FAILED with the refusal."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id, State.PREPARING)
            keep_preview(session, row, preview)
            row.overhead_seconds = (now() - row.create_time).total_seconds()
            if refusal is not None:
                move(session, row, State.FAILED, refusal)
            else:
                row.prepared, row.strikes, row.failures, row.error = True, 0, 0, None
                move(session, row, State.PENDING)
            return to_job(row)

    def start_attempt(self, job_id: str, engine_id: str, overhead_seconds: float) -> Job:
        """Count a worker about to be started; its events begin at offset 0. overhead_seconds: since the job was claimed."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id, State.RUNNING)
            row.attempts += 1
            row.strikes += 1
            row.failures += 1
            row.event_offset = 0
            row.error = None
            row.overhead_seconds += overhead_seconds
            return to_job(row)

    def ingest(self, job_id: str, engine_id: str, events: Sequence[Event], offset: int, new_offset: int) -> Job:
        """Take in the events read between two offsets; both the events and the offset are kept, or neither."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id, State.RUNNING)
            if row.event_offset != offset:
                raise LeaseLost(f"{job_id}: events up to {row.event_offset} are known, these begin at {offset}")
            row.event_offset = new_offset
            for event in events:
                take_in(session, row, event)
            return to_job(row)

    def end(self, job_id: str, engine_id: str, state: State, error: BurnishError | None = None) -> Job:
        """End a job as FAILED, by an error, or CANCELLED."""
        if (state, error is None) not in ((State.FAILED, False), (State.CANCELLED, True)):
            raise PreconditionError(f"{job_id} can end as failed with an error, or cancelled: not as {state.value}")
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id, *HELD)
            move(session, row, state, error)
            return to_job(row)

    def give_back(
        self,
        job_id: str,
        engine_id: str,
        state: State = State.PENDING,
        message: str = "",
        delay_seconds: float = 0.0,
        error: BurnishError | None = None,
        strikes: int = 0,
        failures: int = 0,
    ) -> Job:
        """Put a job back into the queue, or PAUSED; what was asked of it in this very moment comes first.

        delay_seconds: until it may be claimed again; error: why, kept until it ends or starts again; strikes and failures:
        added to the job's, -1 where an attempt was stopped in order and does not count.
        """
        if state not in (State.PENDING, State.PAUSED):
            raise PreconditionError(f"{job_id} can be given back as pending or paused: not as {state.value}")
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id, *HELD)
            row.strikes = max(0, row.strikes + strikes)
            row.failures = max(0, row.failures + failures)
            if error is not None:
                row.error = error.to_dict()
            if message:
                add_event(session, row, message=message)
            move(session, row, _wanted(row) or state)
            if delay_seconds > 0 and row.state == State.PENDING:
                row.not_before = now() + timedelta(seconds=delay_seconds)
            return to_job(row)

    def note(self, job_id: str, engine_id: str, message: str) -> Job:
        """Add a line for people to the job's events."""
        with self._database.writing() as session:
            row = _held(session, job_id, engine_id, *HELD)
            add_event(session, row, message=message)
            return to_job(row)

    def tidy(self) -> list[Job]:
        """End jobs that wait past their deadline, and do what was asked of jobs whose engine is gone. Returns those changed."""
        time = now()
        late = and_(JobRow.state.in_([state.value for state in WAITING]), JobRow.deadline <= time)
        asked = or_(JobRow.cancel_requested, JobRow.pause_requested)
        orphaned = and_(JobRow.state == State.RUNNING.value, JobRow.lease_until < time, asked)
        query = select(JobRow.job_id).where(or_(late, orphaned))
        with self._database.reading() as session:
            found = list(session.scalars(query))
        return [job for job_id in found if (job := self._tidy(job_id)) is not None]

    def _tidy(self, job_id: str) -> Job | None:
        with self._database.writing() as session:
            row = _row(session, job_id, lock=True)
            if row.state in WAITING and row.deadline is not None and row.deadline <= now():
                move(session, row, State.FAILED, deadline_error(job_id, row.deadline))
            elif row.state == State.RUNNING and row.lease_until is not None and row.lease_until < now():
                if (wanted := _wanted(row)) is None:
                    return None
                move(session, row, wanted)
            else:
                return None
            return to_job(row)


def deadline_error(job_id: str, deadline: datetime) -> DeadlineError:
    return DeadlineError(
        f"{job_id} has not ended by its deadline, {deadline:%Y-%m-%d %H:%M:%S} UTC; its checkpoints are kept",
        job_id=job_id,
        deadline=deadline.isoformat(),
    )


def _claimed(session: Session, row: JobRow | None, state: State) -> Job | None:
    """A job that was taken, in its new state; one that cannot be read has FAILED, lest it stand in everybody's way."""
    if row is None:
        return None
    try:
        to_job(row)
    except ValidationError as error:
        log.error("%s cannot be read: %s", row.job_id, error)
        move(
            session, row, State.FAILED, CorruptDataError(f"{row.job_id} cannot be read by this version of the trainer")
        )
        return None
    if row.state == State.PENDING:
        move(session, row, state)
    return to_job(row)


def _wanted(row: JobRow) -> State | None:
    """Where people asked a running job to go."""
    if row.cancel_requested:
        return State.CANCELLED
    return State.PAUSED if row.pause_requested else None


def _row(session: Session, job_id: str, lock: bool = False) -> JobRow:
    row = session.get(JobRow, job_id, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"there is no tuning job {job_id!r}: `burnish jobs ls` lists them", job_id=job_id)
    return row


def _held(session: Session, job_id: str, engine_id: str, *states: State) -> JobRow:
    row = _row(session, job_id, lock=True)
    if row.engine_id != engine_id or row.state not in states:
        raise LeaseLost(f"{job_id} is {row.state} under engine {row.engine_id}")
    return row
