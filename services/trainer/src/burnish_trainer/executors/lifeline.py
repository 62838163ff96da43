"""What ties a worker to its trainer, and to its job: the pipe that is its standard input, and the heartbeat in its attempt folder.

The trainer holds the pipe open: when it closes, the trainer is gone and the worker ends itself at once, so that no orphan
trains; one that is stopped is ended by the kernel. A waiting worker is told its attempt through it. The heartbeat tells the
trainer of a worker that has stopped, and by what it says, of one that lives and gets nowhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from burnish_trainer.executors.assignment import HEARTBEAT, LOG, Phase
from burnish_trainer.parent import end_with_parent

LOCK_SECONDS = 60.0
BEAT_SECONDS = 1.0
BEAT_BYTES = 64  # padded, so that a beat overwrites the one before it in place


class Lifeline:
    """Reads standard input from now on, in a thread. process: this one's number if several train a job together."""

    def __init__(self, process: int = 0) -> None:
        end_with_parent()
        self._beat_file = HEARTBEAT if process == 0 else f"{HEARTBEAT}.{process}"
        self._folders: SimpleQueue[Path] = SimpleQueue()
        self._progress: tuple[Phase, int] = ("starting", 0)
        threading.Thread(target=self._read, name="parent-watch", daemon=True).start()

    def handed_over(self) -> Path:
        """Wait for an attempt's folder."""
        return self._folders.get()

    def progress(self, phase: Phase) -> None:
        """Called by the thread that trains, when it begins a phase and for each step in it. Costs nothing: the next beat says it."""
        self._progress = (phase, self._progress[1] + 1)

    def beat(self, folder: Path) -> None:
        """Write the folder's heartbeat each second from now on, for as long as this process runs."""
        threading.Thread(target=self._beat, args=(folder / self._beat_file,), name="heartbeat", daemon=True).start()

    def _read(self) -> None:
        received = b""
        while chunk := os.read(0, 4096):
            received += chunk
            if received.endswith(b"\n"):
                folder = Path(received.decode().rstrip("\n"))
                _move_into(folder)
                self.beat(folder)
                self._folders.put(folder)
                received = b""
        os._exit(1)

    def _beat(self, path: Path) -> None:
        while True:
            phase, progress = self._progress
            with contextlib.suppress(
                OSError
            ):  # a full disk: a touch needs no room, nor does writing over what is there
                path.touch()
                with path.open("r+b", buffering=0) as file:
                    file.write(f"{phase} {progress}".ljust(BEAT_BYTES).encode())
            time.sleep(BEAT_SECONDS)


def _move_into(folder: Path) -> None:
    """Put log and temporary files where a worker started for this attempt alone would have them."""
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # libraries may have asked for it already
    with (folder / LOG).open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())


def only_worker(job_folder: Path) -> IO[str]:
    """Hold the job's lock, so that an earlier attempt's dying worker and this one never write side by side."""
    lock = (job_folder / "worker.lock").open("w")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
