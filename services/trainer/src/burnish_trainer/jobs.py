"""A tuning job and its events, as the queue knows them. Plain data between repository, engine and servicer."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from burnish.schemas.base import Frozen
from burnish_trainer.events import Metrics
from burnish_trainer.spec import JobSpec, VersionRef


class State(StrEnum):
    """PENDING → RUNNING → one of the ended states; RUNNING → PENDING where the trainer was asked to stop."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Job(Frozen):
    """A row of the queue.

    attempts: workers started; strikes: those since the last checkpoint or orderly stop; event_offset: bytes read of the
    current attempt's events; last_sequence: of the newest event.
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
    event_offset: int
    last_sequence: int
    progress: Metrics | None
    cancel_requested: bool


class JobEvent(Frozen):
    """One event of a job; exactly one of state, metrics and message."""

    sequence: int
    time: datetime
    state: State | None = None
    metrics: Metrics | None = None
    message: str | None = None
