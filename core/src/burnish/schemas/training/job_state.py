"""The states of a tuning job: the one list behind the trainer's queue, the client and the command line.

Plain Python, so that the command line can offer the states without loading pydantic. The contract's enum
(trainer.proto, `TuningJob.State`) has the same names; a test compares them.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """A job's state. What each means: protos/burnish/trainer/v1/trainer.proto."""

    PENDING = "pending"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
