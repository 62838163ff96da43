"""Room kept for a worker's last event, so that a full disk can still be reported. Called by main.py."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

RESERVE_BYTES = 16_384


class Reserve:
    """A few kilobytes of the disk, released before the event is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with contextlib.suppress(OSError):  # a disk that is full already: the worker's own steps will say so
            path.write_bytes(os.urandom(RESERVE_BYTES))  # no file system compresses it away

    def release(self) -> None:
        self._path.unlink(missing_ok=True)
