"""Executors: where a worker runs. The engine speaks to this port alone, so a job may train here or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the queue reads the events that this package passes on
    from burnish_trainer.queue.jobs import Job


class Worker(Protocol):
    """One attempt at a job, under way or ended."""

    def exit_status(self) -> str | None:
        """None while it runs; else how it ended, for people: `exit code 1`, `SIGKILL`."""
        ...

    def stop(self) -> None:
        """Ask it to save a checkpoint at the next step boundary and end. Safe where it has ended."""
        ...

    def kill(self) -> None:
        """End it and every process it started, now. Safe where it has ended."""
        ...

    def last_words(self) -> str:
        """The last line it logged; empty where there is none."""
        ...

    def heartbeat_age(self) -> float | None:
        """Seconds since it last showed that it lives, counted from its start before it has; None once it has ended."""
        ...


class Executor(Protocol):
    """Starts workers and reads what they said."""

    def start(self, job: Job, devices: Sequence[str]) -> Worker:
        """Start a worker for job.attempts on these devices ("cpu", "cuda:0").

        A worker of an earlier attempt that still lives is fenced off by the job's lock. The worker is told
        job.overhead_seconds and job.traceparent. OSError where none can be started.
        """
        ...

    def read_events(self, job: Job) -> bytes:
        """The bytes of the current attempt's events from job.event_offset on; empty where there are none here."""
        ...

    def job_folder(self, job_id: str) -> Path:
        """Where the job's files stand."""
        ...

    def close(self) -> None:
        """End what is kept ready for later attempts; called once every worker has ended. Safe to call twice."""
        ...
