"""The lease on disk, so that a service that restarts does not start vLLM on a device that a job has."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from burnish.schemas.base import Frozen
from burnish.schemas.device import MAX_TTL_SECONDS

log = logging.getLogger(__name__)

NAME = "device-lease.json"


class StoredLease(Frozen):
    """expires: seconds since the epoch, the only clock that outlives a process."""

    holder: str
    size_bytes: int | None
    expires: float


class LeaseFile:
    """<folder>/device-lease.json: there while somebody holds or waits for the device."""

    def __init__(self, folder: Path, wall_clock: Callable[[], float] = time.time) -> None:
        self._path = folder / NAME
        self._wall_clock = wall_clock

    def read(self) -> tuple[str, int | None, float] | None:
        """holder, size_bytes and the seconds left; None if there is no lease, it has expired, or the file is torn."""
        try:
            stored = StoredLease.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            log.warning("%s cannot be read and is taken as no lease: %s", self._path, error)
            return None
        left = min(stored.expires - self._wall_clock(), MAX_TTL_SECONDS)
        return (stored.holder, stored.size_bytes, left) if left > 0 else None

    def write(self, holder: str, size_bytes: int | None, seconds: float) -> None:
        """Replaces what is there. OSError if the disk does not take it."""
        stored = StoredLease(holder=holder, size_bytes=size_bytes, expires=self._wall_clock() + seconds)
        temporary = self._path.with_suffix(".new")
        with temporary.open("w") as file:
            file.write(stored.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
