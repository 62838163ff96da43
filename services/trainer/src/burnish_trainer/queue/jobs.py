"""A tuning job and its events: plain data between the queue, the scheduler and the servicer. Also the legal moves between states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from burnish.errors import DeadlineError, PreconditionError
from burnish.schemas.base import Frozen, VersionRef
from burnish.schemas.training.hosted import RemoteModel
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.job_state import JobState
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement
from burnish_trainer.executors.events import Metrics

MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset(
        {JobState.PREPARING, JobState.RUNNING, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.PREPARING: frozenset({JobState.PENDING, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.PENDING, JobState.PAUSED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.PAUSED: frozenset({JobState.PENDING, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


def check_move(job_id: str, before: JobState, after: JobState) -> None:
    """PreconditionError if a job may not go from one state to the other."""
    if after not in MOVES[before]:
        raise PreconditionError(
            f"{job_id} is {before.value}: it cannot become {after.value}",
            job_id=job_id,
            state=before.value,
            wanted=after.value,
        )


def deadline_error(job_id: str, deadline: datetime) -> DeadlineError:
    return DeadlineError(
        f"{job_id} has not ended by its deadline, {deadline:%Y-%m-%d %H:%M:%S} UTC; its checkpoints are kept",
        job_id=job_id,
        deadline=deadline.isoformat(),
    )


class Job(Frozen):
    """A row of the queue.

    attempts: workers started; strikes: those since the last checkpoint or orderly stop, except those that failed because
    of an outage; failures: attempts and preparations that failed one after the other, outages included; event_offset: bytes
    read of the current attempt's events; last_sequence: of the newest event; prepared: preflight has passed it; devices:
    those it runs on now; not_before: when its next attempt may start; overhead_seconds: created to prepared, and claimed to
    worker started, over all attempts; traceparent: the span of the call that queued it; released: as in tables.JobRow.
    """

    job_id: str
    request_id: str | None
    spec: JobSpec
    state: JobState
    error: dict[str, Any] | None
    adapter: VersionRef | None
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    attempts: int
    strikes: int
    failures: int
    event_offset: int
    last_sequence: int
    progress: Metrics | None
    cancel_requested: bool
    pause_requested: bool
    priority: int
    labels: dict[str, str]
    deadline: datetime | None
    prepared: bool
    findings: list[Finding]
    estimate: RunEstimate | None
    measured: RunMeasurement | None
    not_before: datetime | None
    devices: list[str]
    overhead_seconds: float
    traceparent: str | None = None
    remote_model: RemoteModel | None = None
    released: bool = False


class JobEvent(Frozen):
    """One event of a job; exactly one of state, metrics, message, finding and estimate. attempt: 0 if no worker reported it."""

    sequence: int
    time: datetime
    state: JobState | None = None
    metrics: Metrics | None = None
    message: str | None = None
    finding: Finding | None = None
    estimate: RunEstimate | None = None
    attempt: int = 0
