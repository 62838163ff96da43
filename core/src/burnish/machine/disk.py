"""A full disk as an error that says which folder, how much is needed, how much is free and what to do.

Called by whoever writes files that may be large, and by the owners of databases.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from burnish.errors import BurnishError, PreconditionError, UnavailableError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Libraries written in Rust and C++ wrap the system's error: "(os error 28)" in safetensors, the words in torch.save.
FULL_IN_WORDS = re.compile(
    rf"os error ({'|'.join(str(number) for number in FULL)})\b|{'|'.join(os.strerror(number) for number in FULL)}"
)
TORN_ARCHIVE = "PytorchStreamWriter failed"  # torch.save does not say why it could not write
FULL_DATABASE = re.compile(r"disk is full|No space left on device|DiskFull")  # SQLite's words, and Postgres's
MEGABYTE = 1_000_000


@contextmanager
def needing(
    size_bytes: int | None, folder: Path, what: str, remedy: str, kind: type[BurnishError] = PreconditionError
) -> Iterator[None]:
    """Do something that writes that many bytes (None: nobody knows) under the folder.

    Raises: an error of that kind if the disk, the quota or the limit on file sizes was too small for it. what: completes
    "no room to". remedy: completes "make room, or".
    """
    try:
        yield
    except BurnishError:
        raise  # it says already what is wrong, of this disk or of another
    except Exception as error:
        if _is_full(error):
            raise _full(size_bytes, folder, what, remedy, kind) from error
        raise


def require(size_bytes: int, folder: Path, what: str, remedy: str) -> None:
    """PreconditionError if the folder's disk has not that many bytes free."""
    if shutil.disk_usage(_existing(folder)).free < size_bytes:
        raise _full(size_bytes, folder, what, remedy, PreconditionError)


def full_database(what: str, file: str | None, problem: str) -> UnavailableError | None:
    """The error for a transaction that failed with `problem`, if a full disk is what failed it; it was rolled back.

    what: names the database. file: of SQLite, None for a server.
    """
    if not FULL_DATABASE.search(problem):
        return None
    where = "there"
    if file:
        folder = Path(file).absolute().parent
        where = f"in {folder} ({_megabytes(shutil.disk_usage(folder).free)} MB are free)"
    return UnavailableError(
        f"the disk of {what} is full, nothing was changed: free some space {where}, then try again ({problem})"
    )


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is at the bottom of an error, by number or by the words of the libraries that hide it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if FULL_IN_WORDS.search(str(error)) or TORN_ARCHIVE in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _full(size_bytes: int | None, folder: Path, what: str, remedy: str, kind: type[BurnishError]) -> BurnishError:
    free = shutil.disk_usage(_existing(folder)).free
    needed = "" if size_bytes is None else f"about {_megabytes(size_bytes)} MB are needed and "
    facts = {} if size_bytes is None else {"needed_bytes": size_bytes}
    return kind(
        f"no room to {what} in {folder}: {needed}{_megabytes(free)} MB are free "
        f"(a quota or a limit on file sizes may be lower still): make room, or {remedy}",
        folder=folder,
        free_bytes=free,
        **facts,
    )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _megabytes(size_bytes: int) -> int:
    return -(-size_bytes // MEGABYTE)
