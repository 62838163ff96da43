"""Where a worker runs: the port that the scheduler speaks to, its local implementation, and what passes between the two
(assignment.py, events.py). Workers write events and are written for the same files. The scheduler and workers call in.
No queue, no scheduling decision and no torch belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from burnish_trainer.executors.assignment import Attempt


@dataclass(frozen=True)
class Pulse:
    """silent_seconds: since a process of the attempt last showed that it lives. stalled_seconds: since the one that made
    progress longest ago did (a step, a batch, the next phase), and `phase`: what it is at since then."""

    silent_seconds: float
    stalled_seconds: float
    phase: str


class Worker(Protocol):
    """The process, or processes, of one attempt: running or ended."""

    def exit_status(self) -> str | None:
        """None while it runs; else how it ended, for people: `exit code 1`, `SIGKILL`."""
        ...

    def stop(self) -> None:
        """Ask it to save a checkpoint at the next step boundary and end. Safe if it has ended; a second call changes nothing."""
        ...

    def kill(self) -> None:
        """End it and every process it started, now. Safe if it has ended."""
        ...

    def last_log_line(self) -> str:
        """The last line it logged; empty if there is none."""
        ...

    def pulse(self) -> Pulse | None:
        """How it does, by its heartbeats; None once it has ended. Before there is one, times count from its start."""
        ...


class Executor(Protocol):
    """Starts workers and reads what they wrote."""

    def start(self, attempt: Attempt, devices: Sequence[str]) -> Worker:
        """Start a worker on these devices ("cpu", "cuda:0"). OSError if none can be started.

        A worker of an earlier attempt that still lives is fenced off by the job's lock.
        """
        ...

    def read_events(self, job_id: str, attempt: int, offset: int) -> bytes:
        """The bytes of an attempt's events from the offset on; empty if there are none on this machine."""
        ...

    def job_folder(self, job_id: str) -> Path:
        """The folder of the job's files."""
        ...

    def close(self) -> None:
        """End what is kept ready for later attempts. Called once every worker has ended; safe to call twice."""
        ...
