"""Keeps one worker process ready: its model libraries loaded, no device touched, waiting for an attempt's folder.

Loading them takes about 6 CPU-seconds, for which a job would otherwise wait. A waiting spare holds some 520 MB.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
SETTLE_SECONDS = 10.0
RESTART_SECONDS = 1.0
RESTART_SECONDS_AT_MOST = 300.0


class Spare:
    """Thread-safe; its own thread ends with `close`.

    start: starts a waiting worker of a backend. settle_seconds: before the next one is loaded, so that the one just handed
    over reaches its first steps undisturbed. restart_seconds: before one that died is replaced; doubles with each death.
    """

    def __init__(
        self,
        backend: str,
        start: Callable[[str], Popen[bytes]],
        settle_seconds: float = SETTLE_SECONDS,
        restart_seconds: float = RESTART_SECONDS,
    ) -> None:
        self.backend = backend
        self._start = start
        self._settle_seconds = settle_seconds
        self._restart_seconds = restart_seconds
        self._process: Popen[bytes] | None = None
        self._start_at = 0.0
        self._deaths = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="spare", daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int | None:
        """Of the spare that waits; None if there is none just now."""
        with self._lock:
            return self._process.pid if self._process else None

    def hand_over(self, folder: Path, backend: str) -> Popen[bytes] | None:
        """Give the attempt to the spare and return its process; None if there is none, or only one of another backend."""
        with self._lock:
            process = self._process
            if process is None or backend != self.backend or process.poll() is not None or not process.stdin:
                return None
            try:
                process.stdin.write(f"{folder}\n".encode())
                process.stdin.flush()
            except OSError:
                return None
            self._process = None
            self._deaths = 0
            self._start_at = time.monotonic() + self._settle_seconds
            return process

    def close(self) -> None:
        """End the spare. Safe to call twice."""
        self._closed.set()
        self._keeper.join()
        with self._lock:
            if self._process is not None:
                self._process.kill()
                _reap(self._process)
                self._process = None

    def _keep(self) -> None:
        while not self._closed.is_set():
            with self._lock:
                self._look()
            self._closed.wait(LOOK_SECONDS)

    def _look(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            log.warning("the spare worker ended with %s: another is started", self._process.returncode)
            _reap(self._process)
            self._process = None
            self._put_off()
        if self._process is None and time.monotonic() >= self._start_at:
            try:
                self._process = self._start(self.backend)
            except OSError as error:
                log.warning("no spare worker could be started: %s", error)
                self._put_off()

    def _put_off(self) -> None:
        self._start_at = time.monotonic() + min(self._restart_seconds * 2**self._deaths, RESTART_SECONDS_AT_MOST)
        self._deaths += 1


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    if process.stdin:
        process.stdin.close()
