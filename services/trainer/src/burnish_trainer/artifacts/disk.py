"""A full disk as an error that says which folder, how much is needed and how much is free. Called by the worker."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from burnish.errors import PreconditionError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Libraries written in Rust and C++ wrap the system's error: "(os error 28)" in safetensors, the words in torch.save.
FULL_IN_WORDS = re.compile(
    rf"os error ({'|'.join(str(number) for number in FULL)})\b|{'|'.join(os.strerror(number) for number in FULL)}"
)
TORN_ARCHIVE = "PytorchStreamWriter failed"  # torch.save does not say why it could not write
MEGABYTE = 1_000_000
RESERVE_BYTES = 16_384


@contextmanager
def needing(size_bytes: int, folder: Path, what: str) -> Iterator[None]:
    """Do something that writes that many bytes under the folder.

    Raises: PreconditionError if the disk, the quota or the limit on file sizes was too small for it.
    """
    try:
        yield
    except Exception as error:
        if _is_full(error):
            raise _full(size_bytes, folder, what) from error
        raise


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is at the bottom of an error, by number or by the words of the libraries that hide it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if FULL_IN_WORDS.search(str(error)) or TORN_ARCHIVE in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _full(size_bytes: int, folder: Path, what: str) -> PreconditionError:
    free = shutil.disk_usage(_existing(folder)).free
    return PreconditionError(
        f"no room to {what} in {folder}: about {_megabytes(size_bytes)} MB are needed and {_megabytes(free)} MB are free "
        "(a quota or a limit on file sizes may be lower still): make room, or point BURNISH_TRAINER_WORK_DIR at a larger disk",
        folder=folder,
        needed_bytes=size_bytes,
        free_bytes=free,
    )


def require(size_bytes: int, folder: Path, what: str) -> None:
    """PreconditionError if the folder's disk has not that many bytes free."""
    if shutil.disk_usage(_existing(folder)).free < size_bytes:
        raise _full(size_bytes, folder, what)


class Reserve:
    """Room kept for a worker's last event: a few kilobytes of the disk, released before the event is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with contextlib.suppress(OSError):  # a disk that is full already: the worker's own steps will say so
            path.write_bytes(os.urandom(RESERVE_BYTES))  # no file system compresses it away

    def release(self) -> None:
        self._path.unlink(missing_ok=True)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _megabytes(size_bytes: int) -> int:
    return -(-size_bytes // MEGABYTE)
