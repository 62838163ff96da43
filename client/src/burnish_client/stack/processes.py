"""Processes of the stack: started in a session of their own, tied to the supervisor's life, ended with everything they started."""

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
    """Start a part as leader of a new session. The kernel kills it when this process dies. Its output is appended to log."""
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
    """Become the parent of descendants whose parent dies (a subreaper), so that none escapes `end_adopted`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_adopted(leaders: Iterable[int]) -> None:
    """Kill and reap all children of this process but the leaders of living parts, then the children that these leave, and so on."""
    keep = set(leaders)
    while adopted := [child for child in psutil.Process().children() if child.pid not in keep]:
        for child in adopted:
            with suppress(psutil.NoSuchProcess):
                child.kill()
            with suppress(ChildProcessError):
                os.waitpid(child.pid, 0)


def kill_session(leader_pid: int) -> None:
    """SIGKILL every process of the session that this process leads or led."""
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader_pid:
                os.kill(pid, signal.SIGKILL)


def end_leftover(identity: ProcessIdentity, *, timeout_seconds: float = 5.0) -> bool:
    """Kill a process of an earlier stack and its session. False if it is gone already, or its pid is another's now."""
    if not identity.is_alive():
        return False
    kill_session(identity.pid)
    with suppress(ProcessLookupError):
        os.kill(identity.pid, signal.SIGKILL)
    deadline = time.monotonic() + timeout_seconds
    while identity.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    return True
