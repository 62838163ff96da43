"""A tuning job and its events, as the queue knows them. Plain data between repository, engine and servicer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from burnish.errors import PreconditionError
from burnish.schemas.base import Frozen, VersionRef
from burnish.schemas.job import JobSpec
from burnish.schemas.tuning import Finding, RunEstimate, RunMeasurement
from burnish_trainer.executors.events import Metrics


class State(StrEnum):
    """A job's state; MOVES has the only legal ones. What each means: protos/burnish/trainer/v1/trainer.proto."""

    PENDING = "pending"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


MOVES: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.PREPARING, State.RUNNING, State.PAUSED, State.FAILED, State.CANCELLED}),
    State.PREPARING: frozenset({State.PENDING, State.PAUSED, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.PENDING, State.PAUSED, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.PAUSED: frozenset({State.PENDING, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


def check_move(job_id: str, before: State, after: State) -> None:
    """PreconditionError where a job may not go from one state to the other."""
    if after not in MOVES[before]:
        raise PreconditionError(
            f"{job_id} is {before.value}: it cannot become {after.value}",
            job_id=job_id,
            state=before.value,
            wanted=after.value,
        )


class Job(Frozen):
    """A row of the queue.

    attempts: workers started; strikes: those since the last checkpoint or orderly stop, without those that failed for an
    outage; failures: attempts and preparations that failed one after the other, outages too; event_offset: bytes read of
    the current attempt's events; last_sequence: of the newest event; prepared: preflight has passed it; devices: those it
    runs on now; not_before: when its next attempt may start; overhead_seconds: created to prepared, and claimed to
    worker started, over all attempts; traceparent: the span that work on it belongs to: of the call that queued it.
    """

    job_id: str
    request_id: str | None
    spec: JobSpec
    state: State
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


class JobEvent(Frozen):
    """One event of a job; exactly one of state, metrics, message, finding and estimate. attempt 0: said by the queue."""

    sequence: int
    time: datetime
    state: State | None = None
    metrics: Metrics | None = None
    message: str | None = None
    finding: Finding | None = None
    estimate: RunEstimate | None = None
    attempt: int = 0
