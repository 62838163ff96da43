"""What a child process of the trainer asks of the kernel, so that it ends with its parent even while it is stopped. Standard library only.

Called by the preflight process, by workers and by the process that speaks to providers, first of all that they do.
"""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have this process killed once the thread that started it has ended. Linux only; OSError if the kernel refuses.

    A parent that has died before that is noticed by the closed standard input. A stopped process (SIGSTOP) cannot read that, and
    would stay for ever, with its memory, its device and its job's lock. Parents must start their children from a thread that lives as long as they do.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
