"""The jobs of the queue, as transactions: with claims.py and record.py the only code that reads and writes the tables.

Called in threads; every method is one transaction. A caller that works on a job proves it by its engine_id: if it no longer
holds the job it gets LeaseLost, and must stop its worker.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from pydantic import ValidationError
from sqlalchemy import and_, delete, func, or_, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from burnish.errors import AlreadyExistsError, BurnishError, CorruptDataError, NotFoundError, PreconditionError
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.job_state import JobState
from burnish_trainer.executors.events import Event
from burnish_trainer.preflight.types import PastRun, Preview
from burnish_trainer.queue import claims
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.jobs import Job, JobEvent, deadline_error
from burnish_trainer.queue.record import JobRecord, now, to_event, to_job
from burnish_trainer.queue.tables import EventRow, JobRow, PastRunRow

log = logging.getLogger(__name__)

HELD = (JobState.PREPARING, JobState.RUNNING)
WAITING = (JobState.PENDING, JobState.PREPARING, JobState.PAUSED)


class LeaseLost(Exception):
    """The job was claimed by another engine, paused or ended. Stop its worker and forget it."""


class JobRepository:
    """See the module's docstring. Times are this process's clock, in UTC."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_request(self, request_id: str, request_digest: str) -> Job | None:
        """The job that this request made before; AlreadyExistsError if that request had another body."""
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
        """Queue a job. If several callers race with one request_id, exactly one makes it and the others get that one."""
        row = JobRow(
            job_id=f"job-{secrets.token_hex(8)}",
            request_id=request_id,
            request_digest=request_digest,
            spec=spec.model_dump(mode="json"),
            state=JobState.PENDING,
            create_time=now(),
            last_sequence=0,
            priority=priority,
            labels=dict(labels or {}),
            deadline=deadline,
            device_count=spec.device_count,
            adapter_name=spec.adapter_name,
            dataset_name=spec.dataset.name,
            provider=spec.hosted.provider if spec.hosted else "",
            traceparent=traceparent,
        )
        try:
            with self._database.writing() as session:
                session.add(row)
                session.flush()
                record = JobRecord(session, row)
                record.add_event(state=JobState.PENDING)
                return record.job()
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
        states: Sequence[JobState],
        limit: int,
        before: tuple[datetime, str] | None,
        labels: Mapping[str, str] | None = None,
        adapter_name: str = "",
        dataset_name: str = "",
        at_provider: bool = False,
    ) -> list[Job]:
        """Newest first, of those that have all the labels and names given.

        before: (create_time, job_id) of the last one already seen. at_provider: only those of which something may be there.
        """
        query = select(JobRow).order_by(JobRow.create_time.desc(), JobRow.job_id.desc()).limit(limit)
        if states:
            query = query.where(JobRow.state.in_(states))
        if adapter_name:
            query = query.where(JobRow.adapter_name == adapter_name)
        if dataset_name:
            query = query.where(JobRow.dataset_name == dataset_name)
        if at_provider:
            begun = or_(JobRow.attempts > 0, JobRow.end_time.is_not(None))
            query = query.where(JobRow.provider != "", JobRow.released.is_(False), begun)
        for name, value in (labels or {}).items():
            query = query.where(JobRow.labels[name].as_string() == value)
        if before is not None:
            query = query.where(tuple_(JobRow.create_time, JobRow.job_id) < before)
        with self._database.reading() as session:
            return [to_job(row) for row in session.scalars(query)]

    def count_open(self) -> dict[JobState, int]:
        """How many jobs there are in each state that is not final, 0 included. Reads only an index, so a scrape may ask."""
        open_states = [state for state in JobState if not state.ended]
        query = select(JobRow.state, func.count()).where(JobRow.state.in_(open_states)).group_by(JobRow.state)
        with self._database.reading() as session:
            counted = dict(session.execute(query).all())
        return {state: counted.get(state, 0) for state in open_states}

    def events_after(self, job_id: str, after_sequence: int, limit: int) -> list[JobEvent]:
        """Ascending; empty if there is nothing new. NotFoundError if there is no such job."""
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
        """preflight.types.PastRuns: newest first."""
        query = (
            select(JobRow.spec, PastRunRow.workload, PastRunRow.measured)
            .join(JobRow, JobRow.job_id == PastRunRow.job_id)
            .where(PastRunRow.kind == kind)
            .order_by(PastRunRow.time.desc())
            .limit(limit)
        )
        with self._database.reading() as session:
            return [PastRun.model_validate(run._asdict()) for run in session.execute(query)]

    def cancel(self, job_id: str) -> Job:
        """End a job at once, or tell the engine that runs it. PreconditionError if it has ended."""
        with self._locked(job_id) as record:
            row = record.row
            if row.state.ended:
                raise PreconditionError(f"{job_id} has already {row.state}: nothing to cancel", job_id=job_id)
            row.cancel_requested = True
            if row.state is not JobState.RUNNING:
                record.move(JobState.CANCELLED)
            return record.job()

    def delete(self, job_id: str) -> None:
        """Remove a job that has ended, its events and what was measured of it. PreconditionError if it has not ended."""
        with self._locked(job_id) as record:
            check_ended(record.row.job_id, record.row.state)
            _check_released(record.row)
            for table in (EventRow, PastRunRow, JobRow):
                record.session.execute(delete(table).where(table.job_id == job_id))

    def pause(self, job_id: str) -> Job:
        """Pause a job at once, or tell the engine that runs it; a paused one stays so.

        PreconditionError if it has ended or is being cancelled.
        """
        with self._locked(job_id) as record:
            row = record.row
            if row.state.ended:
                raise PreconditionError(f"{job_id} has already {row.state}: nothing to pause", job_id=job_id)
            if row.cancel_requested:
                raise PreconditionError(f"{job_id} is being cancelled: it cannot be paused", job_id=job_id)
            if row.provider:
                raise PreconditionError(
                    f"{job_id} is trained by {row.provider}, where it cannot be paused: `burnish jobs cancel {job_id}` ends it",
                    job_id=job_id,
                )
            if row.state is JobState.RUNNING:
                row.pause_requested = True
            elif row.state is not JobState.PAUSED:
                record.move(JobState.PAUSED)
            return record.job()

    def resume(self, job_id: str) -> Job:
        """Queue a paused job again, its failures forgotten; a pause under way is withdrawn.

        PreconditionError if it is neither paused nor about to be.
        """
        with self._locked(job_id) as record:
            row = record.row
            if row.state is JobState.PAUSED:
                row.strikes = row.failures = 0
                record.move(JobState.PENDING)
            elif row.pause_requested:
                row.pause_requested = False
            else:
                raise PreconditionError(f"{job_id} is {row.state}: only a paused job can be resumed", job_id=job_id)
            return record.job()

    def claim_preparation(self, engine_id: str, active: Sequence[str], lease_seconds: float) -> Job | None:
        """Claim the next unprepared job. active: what this engine works on already."""
        with self._database.writing() as session:
            time = now()
            claim = claims.for_preparation(engine_id, active, time, time + timedelta(seconds=lease_seconds))
            return _claimed(session, session.scalar(claim), JobState.PREPARING)

    def claim_device(
        self, engine_id: str, active: Sequence[str], free: Sequence[str], all_devices: int, lease_seconds: float
    ) -> Job | None:
        """Claim the next prepared job for the first of the free devices; None if they are too few for it.

        all_devices: how many one job could have here at most.
        """
        with self._database.writing() as session:
            time = now()
            until = time + timedelta(seconds=lease_seconds)
            row = session.scalar(claims.for_devices(engine_id, active, len(free), all_devices, time, until))
            if row is not None:
                row.devices = list(free[: row.device_count])
            return _claimed(session, row, JobState.RUNNING)

    def claim_hosted(
        self, engine_id: str, active: Sequence[str], providers: Sequence[str], lease_seconds: float
    ) -> Job | None:
        """Claim the next prepared job that one of the providers trains."""
        with self._database.writing() as session:
            time = now()
            claim = claims.for_providers(engine_id, active, providers, time, time + timedelta(seconds=lease_seconds))
            return _claimed(session, session.scalar(claim), JobState.RUNNING)

    def unreleased(self, providers: Sequence[str], limit: int) -> list[Job]:
        """Ended jobs of these providers, the oldest first, of which something may be left there."""
        query = (
            select(JobRow)
            .where(JobRow.provider.in_(list(providers)), JobRow.end_time.is_not(None), JobRow.released.is_(False))
            .order_by(JobRow.end_time)
            .limit(limit)
        )
        with self._database.reading() as session:
            return [to_job(row) for row in session.scalars(query)]

    def release(self, job_id: str) -> Job:
        """Nothing of an ended job is left at its provider."""
        with self._locked(job_id) as record:
            record.row.released = True
            return record.job()

    def renew(self, job_id: str, engine_id: str, lease_seconds: float) -> Job:
        """Keep the job for longer."""
        with self._held(job_id, engine_id) as record:
            record.row.lease_until = now() + timedelta(seconds=lease_seconds)
            return record.job()

    def prepared(self, job_id: str, engine_id: str, preview: Preview, refusal: BurnishError | None) -> Job:
        """Write a preparation's outcome: the job waits for a device, or has FAILED with the refusal."""
        with self._held(job_id, engine_id, JobState.PREPARING) as record:
            row = record.row
            record.keep_preview(preview)
            row.overhead_seconds = (now() - row.create_time).total_seconds()
            if refusal is not None:
                record.move(JobState.FAILED, refusal)
            else:
                row.prepared, row.strikes, row.failures, row.error = True, 0, 0, None
                record.move(JobState.PENDING)
            return record.job()

    def start_attempt(self, job_id: str, engine_id: str, overhead_seconds: float) -> Job:
        """Count a worker about to be started; its events begin at offset 0. overhead_seconds: since the job was claimed."""
        with self._held(job_id, engine_id, JobState.RUNNING) as record:
            row = record.row
            row.attempts += 1
            row.strikes += 1
            row.failures += 1
            row.event_offset = 0
            row.error = None
            row.overhead_seconds += overhead_seconds
            return record.job()

    def ingest(self, job_id: str, engine_id: str, events: Sequence[Event], offset: int, new_offset: int) -> Job:
        """Write the events read between two offsets; both the events and the offset are kept, or neither."""
        with self._held(job_id, engine_id, JobState.RUNNING) as record:
            known = record.row.event_offset
            if known != offset:
                raise LeaseLost(f"{job_id}: events up to {known} are known, these begin at {offset}")
            record.row.event_offset = new_offset
            for event in events:
                record.ingest(event)
            return record.job()

    def end(self, job_id: str, engine_id: str, state: JobState, error: BurnishError | None = None) -> Job:
        """End a job as FAILED, by an error, or CANCELLED."""
        if (state, error is None) not in ((JobState.FAILED, False), (JobState.CANCELLED, True)):
            raise PreconditionError(f"{job_id} can end as failed with an error, or cancelled: not as {state.value}")
        with self._held(job_id, engine_id) as record:
            record.move(state, error)
            return record.job()

    def requeue(
        self,
        job_id: str,
        engine_id: str,
        state: JobState = JobState.PENDING,
        message: str = "",
        delay_seconds: float = 0.0,
        error: BurnishError | None = None,
        strikes: int = 0,
        failures: int = 0,
    ) -> Job:
        """Put a job back into the queue, or PAUSED; what callers asked for in the meantime comes first.

        delay_seconds: until it may be claimed again; error: why, kept until it ends or starts again; strikes and failures:
        added to the job's, -1 if an attempt was stopped in order and does not count.
        """
        if state not in (JobState.PENDING, JobState.PAUSED):
            raise PreconditionError(f"{job_id} can be requeued as pending or paused: not as {state.value}")
        with self._held(job_id, engine_id) as record:
            row = record.row
            row.strikes = max(0, row.strikes + strikes)
            row.failures = max(0, row.failures + failures)
            if error is not None:
                row.error = error.to_dict()
            if message:
                record.add_event(message=message)
            record.move(record.requested_state() or state)
            if delay_seconds > 0 and row.state is JobState.PENDING:
                row.not_before = now() + timedelta(seconds=delay_seconds)
            return record.job()

    def note(self, job_id: str, engine_id: str, message: str) -> Job:
        """Add a line for people to the job's events."""
        with self._held(job_id, engine_id) as record:
            record.add_event(message=message)
            return record.job()

    def expire(self) -> list[Job]:
        """End jobs that wait past their deadline, and do what was asked of jobs whose engine is gone. Returns those changed."""
        time = now()
        late = and_(JobRow.state.in_(WAITING), JobRow.deadline <= time)
        asked = or_(JobRow.cancel_requested, JobRow.pause_requested)
        orphaned = and_(JobRow.state == JobState.RUNNING, JobRow.lease_until < time, asked)
        query = select(JobRow.job_id).where(or_(late, orphaned))
        with self._database.reading() as session:
            found = list(session.scalars(query))
        return [job for job_id in found if (job := self._expire(job_id)) is not None]

    def _expire(self, job_id: str) -> Job | None:
        """None if another engine has changed the job since it was found."""
        with self._locked(job_id) as record:
            row, time = record.row, now()
            if row.state in WAITING and row.deadline is not None and row.deadline <= time:
                record.move(JobState.FAILED, deadline_error(job_id, row.deadline))
                return record.job()
            orphaned = row.state is JobState.RUNNING and row.lease_until is not None and row.lease_until < time
            if orphaned and (requested := record.requested_state()):
                record.move(requested)
                return record.job()
            return None

    @contextmanager
    def _locked(self, job_id: str) -> Iterator[JobRecord]:
        with self._database.writing() as session:
            yield JobRecord(session, _row(session, job_id, lock=True))

    @contextmanager
    def _held(self, job_id: str, engine_id: str, *states: JobState) -> Iterator[JobRecord]:
        """A job that this engine holds in one of the states (by default HELD); else LeaseLost."""
        with self._locked(job_id) as record:
            row = record.row
            if row.engine_id != engine_id or row.state not in (states or HELD):
                raise LeaseLost(f"{job_id} is {row.state} under engine {row.engine_id}")
            yield record


def check_ended(job_id: str, state: JobState) -> None:
    """PreconditionError if a job that is to be removed has not ended."""
    if not state.ended:
        raise PreconditionError(f"{job_id} is {state}: `burnish jobs cancel {job_id}` ends it first", job_id=job_id)


def _check_released(row: JobRow) -> None:
    """PreconditionError if something of a job may be left at its provider: the row is what reminds of it."""
    if row.provider and not row.released:
        raise PreconditionError(
            f"{row.job_id} may still run at {row.provider}, or its rows lie there: a trainer that has the credential ends and "
            "deletes them, then the job can be removed",
            job_id=row.job_id,
        )


def _claimed(session: Session, row: JobRow | None, state: JobState) -> Job | None:
    """A claimed job in its new state. One that cannot be read has FAILED, so that it does not block the queue."""
    if row is None:
        return None
    record = JobRecord(session, row)
    try:
        record.job()
    except ValidationError as error:
        log.error("%s cannot be read: %s", row.job_id, error)
        unreadable = CorruptDataError(f"{row.job_id} cannot be read by this version of the trainer")
        record.move(JobState.FAILED, unreadable)
        return None
    if row.state is JobState.PENDING:
        record.move(state)
    return record.job()


def _row(session: Session, job_id: str, lock: bool = False) -> JobRow:
    row = session.get(JobRow, job_id, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"there is no tuning job {job_id!r}: `burnish jobs ls` lists them", job_id=job_id)
    return row
