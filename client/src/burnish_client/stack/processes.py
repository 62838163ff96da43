"""Processes of the stack: started in a session of their own, tied to the supervisor's life, ended with all they started."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from burnish_client.stack.state import ProcessIdentity

TETHER = Path(__file__).with_name("tether.py")
PR_SET_CHILD_SUBREAPER = 36


async def spawn(argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> asyncio.subprocess.Process:
    """Start a part: leader of a new session, killed by the kernel when this process dies, its output appended to log."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-ISB",
            str(TETHER),
            str(os.getpid()),
            *argv,
            env=dict(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )


def adopt_orphans() -> None:
    """Make this process the new parent of descendants whose parent dies, so that none escapes `end_adopted`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_adopted(leaders: Iterable[int]) -> None:
    """Kill and reap this process's children other than the leaders of living parts, then what these had below them in turn."""
    keep = set(leaders)
    while adopted := [child for child in psutil.Process().children() if child.pid not in keep]:
        for child in adopted:
            with suppress(psutil.NoSuchProcess):
                child.kill()
            with suppress(ChildProcessError):
                os.waitpid(child.pid, 0)


def kill_session(leader_pid: int) -> None:
    """SIGKILL every process of the session that this process led, also after the leader itself is gone."""
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader_pid:
                os.kill(process.pid, signal.SIGKILL)


def end_leftover(identity: ProcessIdentity, *, timeout_seconds: float = 5.0) -> bool:
    """Kill a process of an earlier stack and its session; False where it is gone already (or its pid is another's now)."""
    if not identity.is_alive():
        return False
    kill_session(identity.pid)
    with suppress(ProcessLookupError):
        os.kill(identity.pid, signal.SIGKILL)
    deadline = time.monotonic() + timeout_seconds
    while identity.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    return True
