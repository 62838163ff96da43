"""The processes of one attempt, as the kernel shows them: a worker, or a launcher with a worker a device.

The launcher gives each of its workers a session of its own, so a process group does not hold them together.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

PROC = Path("/proc")


def descendants(pid: int) -> list[int]:
    """Every process that pid started, and theirs; parents come before children. Empty where /proc does not tell."""
    found: list[int] = []
    for child in _children(pid):
        found += [child, *descendants(child)]
    return found


def kill_tree(pid: int) -> None:
    """SIGKILL the leader of a session, the rest of that session, and the sessions of all that it started."""
    for each in [pid, *descendants(pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each, signal.SIGKILL)


def signal_workers(pid: int, number: signal.Signals, count: int) -> None:
    """Signal a worker, or where there are several the launcher's own children: the launcher would give them 30 s only."""
    for each in [pid] if count == 1 else _children(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, number)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in (PROC / str(pid) / "task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in path.read_text().split()]
    return found
