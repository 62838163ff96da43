"""One job's row and its events inside a transaction: state changes, and what a worker reported. Called by repository.py only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from burnish.errors import BurnishError
from burnish.schemas.training.job_state import JobState
from burnish.schemas.training.tuning import Finding, RunMeasurement
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
from burnish_trainer.queue.jobs import Job, JobEvent, check_move
from burnish_trainer.queue.tables import EventRow, JobRow, PastRunRow

PACE = frozenset({"tokens_per_second", "seconds_left", "step_seconds"})  # differ between two reports of one step


def now() -> datetime:
    return datetime.now(UTC)


class JobRecord:
    """A job's row, locked by the session's transaction."""

    def __init__(self, session: Session, row: JobRow) -> None:
        self.session = session
        self.row = row

    def job(self) -> Job:
        return to_job(self.row)

    def move(self, state: JobState, error: BurnishError | None = None) -> None:
        """Change the job's state; nothing else does. PreconditionError if jobs.MOVES has no such move."""
        row = self.row
        check_move(row.job_id, row.state, state)
        row.state = state
        row.not_before = None
        if state not in (JobState.PREPARING, JobState.RUNNING):
            row.engine_id = row.lease_until = None
            row.devices = []
            row.pause_requested = False
        if state is JobState.RUNNING:
            row.start_time = row.start_time or now()
        if state.ended:
            row.end_time = now()
            row.released = bool(row.provider) and row.attempts == 0
            row.error = error.to_dict() if error else None
        self.add_event(state=state)

    def requested_state(self) -> JobState | None:
        """The state that callers asked a running job to go to."""
        if self.row.cancel_requested:
            return JobState.CANCELLED
        return JobState.PAUSED if self.row.pause_requested else None

    def add_event(self, time: datetime | None = None, attempt: int = 0, **columns: Any) -> None:
        """Append an event under the job's next sequence number."""
        self.row.last_sequence += 1
        self.session.add(
            EventRow(
                job_id=self.row.job_id,
                sequence=self.row.last_sequence,
                time=time or now(),
                attempt=attempt,
                **columns,
            )
        )
        self.session.flush()

    def ingest(self, event: Event) -> None:
        """Write what the current attempt's worker reported."""
        row, attempt = self.row, self.row.attempts
        match event:
            case Metrics():
                self._add_metrics(event)
            case Note():
                self.add_event(event.time, attempt, message=event.message)
            case Found():
                self._add_findings([event.finding], event.time, attempt)
            case CheckpointSaved():
                row.strikes = row.failures = 0
                self.add_event(event.time, attempt, message=event.message)
            case Succeeded():
                row.adapter = event.adapter.model_dump(mode="json") if event.adapter else None
                row.remote_model = event.remote_model.model_dump(mode="json") if event.remote_model else None
                self._keep_measurement(event.measured)
                self.move(JobState.SUCCEEDED)
            case Failed() if not event.retry:
                self.move(JobState.FAILED)
                row.error = event.error
            case Failed():
                row.error = event.error
                if event.changed_spec is not None:  # preflight looks at it anew
                    row.spec, row.prepared = event.changed_spec.model_dump(mode="json"), False
                self.add_event(event.time, attempt, message=f"attempt {attempt} failed: {event.error['message']}")
            case Referenced():
                pass  # a note is there for people; this event is for metrics
            case Suspended():
                self.add_event(event.time, attempt, message=f"stopped after step {event.step}")

    def keep_preview(self, preview: Preview) -> None:
        """Write the findings and the estimate of preflight."""
        self._add_findings(preview.findings)
        if preview.estimate is not None:
            self.row.estimate = preview.estimate.model_dump(mode="json")
            self.add_event(estimate=self.row.estimate)
        self.row.workload = preview.workload.model_dump(mode="json") if preview.workload else None
        self.row.run_kind = preview.kind

    def _add_findings(self, findings: Sequence[Finding], time: datetime | None = None, attempt: int = 0) -> None:
        """A finding that a later attempt or preparation reports again is dropped."""
        for finding in findings:
            dumped = finding.model_dump(mode="json")
            if dumped not in self.row.findings:
                self.row.findings = [*self.row.findings, dumped]
                self.add_event(time, attempt, finding=dumped)

    def _add_metrics(self, event: Metrics) -> None:
        """A step reported again is dropped if its figures are the same, else appended: the last report of a step counts."""
        row = self.row
        values = event.model_dump(mode="json", exclude={"time", "kind", "repeated"}, exclude_none=True)
        known = self.session.scalar(
            select(EventRow)
            .where(EventRow.job_id == row.job_id, EventRow.step == event.step, EventRow.series == event.series)
            .order_by(EventRow.sequence.desc())
            .limit(1)
        )
        if known is None or not (event.repeated or _figures(known.metrics) == _figures(values)):
            if known is not None and known.attempt == row.attempts:
                message = f"step {event.step} was reported twice by attempt {row.attempts}; the first report is kept"
                self.add_event(event.time, row.attempts, message=message)
                return
            self.add_event(event.time, row.attempts, step=event.step, series=event.series, metrics=values)
        if not event.repeated:
            progress = row.progress or {}
            row.progress = ({} if progress.get("step", 0) > event.step else progress) | values

    def _keep_measurement(self, measured: RunMeasurement | None) -> None:
        """What the run took: with its workload, later estimates are calibrated by it."""
        if measured is None:
            return
        row = self.row
        row.measured = measured.model_dump(mode="json")
        if row.workload is not None and row.run_kind is not None:
            self.session.add(
                PastRunRow(
                    job_id=row.job_id, time=now(), kind=row.run_kind, workload=row.workload, measured=row.measured
                )
            )


def _figures(metrics: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (metrics or {}).items() if name not in PACE}


def to_job(row: JobRow) -> Job:
    columns = {name: getattr(row, name) for name in Job.model_fields if name != "progress"}
    return Job.model_validate(
        columns | {"progress": {"time": row.create_time, **row.progress} if row.progress else None}
    )


def to_event(row: EventRow) -> JobEvent:
    columns = {name: getattr(row, name) for name in JobEvent.model_fields if name != "metrics"}
    return JobEvent.model_validate(columns | {"metrics": row.metrics | {"time": row.time} if row.metrics else None})
