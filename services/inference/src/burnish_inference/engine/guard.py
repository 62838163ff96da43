"""Runs a command in a session of its own and ends the whole of it: `python guard.py GRACE_SECONDS SOCKETS COMMAND ARG…`.

It ends on SIGTERM, and when its standard input closes, which happens when the process that started it dies, however that
died. vLLM needs it: if its API server alone is killed, the engine core and the workers go on, and their sockets stay in the
temporary folder. So all of its sockets get a folder, SOCKETS, which this user alone may enter and which ends with the guard. The whole process
group is signalled at once: a walk over the process tree would miss children whose parent has died. Run by path, standard library only. Exits with the command's code.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main() -> None:
    grace_seconds, sockets, command = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    shutil.rmtree(sockets, ignore_errors=True)  # of a guard that was killed
    Path(sockets).mkdir(mode=0o700)
    try:
        code = guard(command, grace_seconds, {**os.environ, "VLLM_RPC_BASE_PATH": sockets})
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
    sys.exit(code if code >= 0 else 128 - code)


def guard(command: list[str], grace_seconds: float, environment: dict[str, str]) -> int:
    """Run the command until it ends or has to; its exit code, negative for a signal."""
    asked_to_stop, wake = os.pipe()
    signal.signal(signal.SIGTERM, lambda number, frame: os.write(wake, b"."))
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True, preexec_fn=die_with_parent
    )
    exited = os.pidfd_open(child.pid)
    ready, _, _ = select.select([exited, asked_to_stop, sys.stdin.fileno()], [], [])
    if exited not in ready:
        signal_group(child.pid, signal.SIGTERM)
        select.select([exited], [], [], grace_seconds)
    signal_group(child.pid, signal.SIGKILL)
    return child.wait()


def die_with_parent() -> None:
    """Ask the kernel for a SIGTERM if the guard itself is killed; runs in the child, before exec."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    main()
