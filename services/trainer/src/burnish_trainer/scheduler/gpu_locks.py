"""Which GPU belongs to which trainer of this host: a locked file for each, in a folder that all of them see. Called by main.py."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from burnish.errors import PreconditionError
from burnish.machine.gpus import Gpu

log = logging.getLogger(__name__)


class GpuLocks:
    """Holds the locks of `gpus`, those that no other trainer has, for as long as the process lives.

    PreconditionError if there are GPUs and others have all of them: two jobs that were estimated apart do not fit on one.
    """

    def __init__(self, folder: Path, visible: Sequence[Gpu]) -> None:
        self._files: list[IO[bytes]] = []
        self.gpus = [gpu for gpu in visible if self._lock(folder, gpu)]
        if visible and not self.gpus:
            names = ", ".join(f"{gpu.name} ({gpu.uuid})" for gpu in visible)
            raise PreconditionError(
                f"{names}: another trainer has it; show this one other GPUs by CUDA_VISIBLE_DEVICES"
            )

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _lock(self, folder: Path, gpu: Gpu) -> bool:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{gpu.uuid}.lock"
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            log.warning("%s (%s) belongs to another trainer and is left to it", gpu.name, gpu.uuid)
            return False
        self._files.append(file)
        return True
