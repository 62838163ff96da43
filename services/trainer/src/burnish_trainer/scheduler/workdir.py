"""The folder that belongs to one running trainer: it holds the trainer's name in the queue, and a lock against a second one."""

from __future__ import annotations

import fcntl
import secrets
from pathlib import Path

from burnish.errors import PreconditionError


class WorkDir:
    """Holds the folder's lock for as long as the process lives.

    engine_id: kept in the folder, so that a restarted trainer recognises the jobs that it left behind.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "engine-id").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise PreconditionError(f"{folder} belongs to a trainer that is running: give each one its own") from error
        self._lock.seek(0)
        self.engine_id = self._lock.read().strip()
        if not self.engine_id:
            self.engine_id = f"engine-{secrets.token_hex(8)}"
            self._lock.write(self.engine_id)
            self._lock.flush()

    def close(self) -> None:
        self._lock.close()
