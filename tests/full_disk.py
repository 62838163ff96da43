"""Disks that are full: a small one to fill, and an object store whose downloads find no room."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from burnish.objectstores.memory import MemoryObjectStore
from burnish.ports import ObjectInfo


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A tmpfs of that size, mounted on the new folder; the test is skipped if there is no right to mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a tmpfs: a full disk cannot be made here (a limit on file sizes is tested too)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Until not one byte more goes in."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(1 << 16))
        except OSError:
            pass


class NoRoom(MemoryObjectStore):
    """Downloads to files fail as on a full disk, until there is room."""

    has_room = False

    def get_file(self, key: str, path: Path, size_bytes: int | None = None) -> ObjectInfo:
        if not self.has_room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().get_file(key, path, size_bytes)
