"""One job's row and its events inside a transaction: state changes, and what a worker said. Called by repository.py only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from burnish.errors import BurnishError
from burnish.schemas.tuning import Finding, RunMeasurement
from burnish_trainer.executors.events import (
    CheckpointSaved,
    Event,
    Failed,
    Found,
    Metrics,
    Note,
    Referenced,
    Succeeded,
    Suspended,
)
from burnish_trainer.preflight.types import Preview
from burnish_trainer.queue.jobs import Job, JobEvent, State, check_move
from burnish_trainer.queue.tables import EventRow, JobRow, PastRunRow

PACE = frozenset({"tokens_per_second", "seconds_left", "step_seconds"})  # differ from one telling of a step to the next


def now() -> datetime:
    return datetime.now(UTC)


def move(session: Session, row: JobRow, state: State, error: BurnishError | None = None) -> None:
    """Change a job's state: nothing else does. PreconditionError where jobs.MOVES has no such move."""
    check_move(row.job_id, State(row.state), state)
    row.state = state.value
    row.not_before = None
    if state not in (State.PREPARING, State.RUNNING):
        row.engine_id = row.lease_until = None
        row.devices = []
        row.pause_requested = False
    if state is State.RUNNING:
        row.start_time = row.start_time or now()
    if state.ended:
        row.end_time = now()
        row.error = error.to_dict() if error else None
    add_event(session, row, state=state.value)


def add_event(session: Session, row: JobRow, time: datetime | None = None, attempt: int = 0, **columns: Any) -> None:
    """Append an event under the job's next sequence number."""
    row.last_sequence += 1
    session.add(EventRow(job_id=row.job_id, sequence=row.last_sequence, time=time or now(), attempt=attempt, **columns))
    session.flush()


def take_in(session: Session, row: JobRow, event: Event) -> None:
    """Write what the current attempt's worker said."""
    attempt = row.attempts
    match event:
        case Metrics():
            _add_metrics(session, row, event)
        case Note():
            add_event(session, row, event.time, attempt, message=event.message)
        case Found():
            _add_findings(session, row, [event.finding], event.time, attempt)
        case CheckpointSaved():
            row.strikes = row.failures = 0
            add_event(session, row, event.time, attempt, message=event.message)
        case Succeeded():
            row.adapter = event.adapter.model_dump(mode="json")
            _keep_measurement(session, row, event.measured)
            move(session, row, State.SUCCEEDED)
        case Failed() if not event.retry:
            move(session, row, State.FAILED)
            row.error = event.error
        case Failed():
            row.error = event.error
            message = f"attempt {attempt} failed: {event.error['message']}"
            add_event(session, row, event.time, attempt, message=message)
        case Referenced():
            pass  # a note tells people; this is for metrics
        case Suspended():
            add_event(session, row, event.time, attempt, message=f"stopped after step {event.step}")


def keep_preview(session: Session, row: JobRow, preview: Preview) -> None:
    """Write what preflight and the estimate say of a job."""
    _add_findings(session, row, preview.findings)
    if preview.estimate is not None:
        row.estimate = preview.estimate.model_dump(mode="json")
        add_event(session, row, estimate=row.estimate)
    row.workload = preview.workload.model_dump(mode="json") if preview.workload else None
    row.run_kind = preview.kind


def _add_findings(
    session: Session, row: JobRow, findings: Sequence[Finding], time: datetime | None = None, attempt: int = 0
) -> None:
    """A finding told again, by a later attempt or preparation, is dropped."""
    for finding in findings:
        told = finding.model_dump(mode="json")
        if told not in row.findings:
            row.findings = [*row.findings, told]
            add_event(session, row, time, attempt, finding=told)


def _add_metrics(session: Session, row: JobRow, event: Metrics) -> None:
    """A step told again is dropped where its figures are the same, else appended: the last telling of a step counts."""
    values = event.model_dump(mode="json", exclude={"time", "kind", "repeated"}, exclude_none=True)
    told = session.scalar(
        select(EventRow)
        .where(EventRow.job_id == row.job_id, EventRow.step == event.step, EventRow.series == event.series)
        .order_by(EventRow.sequence.desc())
        .limit(1)
    )
    if told is None or not (event.repeated or _figures(told.metrics) == _figures(values)):
        if told is not None and told.attempt == row.attempts:
            message = f"step {event.step} was told twice by attempt {row.attempts}; the first telling is kept"
            add_event(session, row, event.time, row.attempts, message=message)
            return
        add_event(session, row, event.time, row.attempts, step=event.step, series=event.series, metrics=values)
    if not event.repeated:
        known = row.progress or {}
        row.progress = ({} if known.get("step", 0) > event.step else known) | values


def _figures(metrics: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (metrics or {}).items() if name not in PACE}


def _keep_measurement(session: Session, row: JobRow, measured: RunMeasurement | None) -> None:
    """What the run took, and with its workload the calibration of later estimates."""
    if measured is None:
        return
    row.measured = measured.model_dump(mode="json")
    if row.workload is not None and row.run_kind is not None:
        session.add(
            PastRunRow(job_id=row.job_id, time=now(), kind=row.run_kind, workload=row.workload, measured=row.measured)
        )


def to_job(row: JobRow) -> Job:
    columns = {name: getattr(row, name) for name in Job.model_fields if name != "progress"}
    return Job.model_validate(
        columns | {"progress": {"time": row.create_time, **row.progress} if row.progress else None}
    )


def to_event(row: EventRow) -> JobEvent:
    return JobEvent(
        sequence=row.sequence,
        time=row.time,
        state=State(row.state) if row.state else None,
        metrics=Metrics.model_validate(row.metrics | {"time": row.time}) if row.metrics else None,
        message=row.message,
        finding=Finding.model_validate(row.finding) if row.finding else None,
        estimate=row.estimate,  # type: ignore[arg-type]  # validated by pydantic
        attempt=row.attempt,
    )
