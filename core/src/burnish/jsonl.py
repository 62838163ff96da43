"""JSONL files: a log that is appended to while others read it, and rows as lines.

A line counts once it ends in a newline. A last line without one was cut short by a crash, and is not read.
Called by everything that must go on where a killed process stopped: an evaluation, a worker's events, a long computation.
"""

from __future__ import annotations

import codecs
import fcntl
import gzip
import os
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Self, TypeVar

from pydantic import BaseModel, ValidationError

from burnish.errors import CorruptDataError, InvalidInputError, PreconditionError, validation_problems

Record = TypeVar("Record")
HEAD_BYTES = 1 << 16


def to_jsonl(rows: Iterable[BaseModel], *, exclude_none: bool = False) -> bytes:
    """One compact JSON object a line, fields in schema order; the same rows give the same bytes."""
    return b"".join(row.model_dump_json(exclude_none=exclude_none).encode() + b"\n" for row in rows)


def whole_lines(content: bytes) -> tuple[list[bytes], int]:
    """The lines that end in a newline, without it, and how many bytes of `content` they take."""
    *lines, torn = content.split(b"\n")
    return lines, len(content) - len(torn)


def check_is_jsonl(path: Path) -> None:
    """Raise InvalidInputError, saying what to do, if a file (or a gzip, suffix .gz) begins as no JSONL of objects does.

    A bad line among good ones is left to whoever reads the lines. Looks at the first HEAD_BYTES only.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as handle:
            head = handle.read(HEAD_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInputError(f"{path} is no whole gzip file ({error}): pack it again", file=path) from error
    if head.startswith(b"["):
        raise InvalidInputError(
            f"{path} is one JSON array, and one object a line is wanted: `jq -c '.[]' {path} > rows.jsonl`", file=path
        )
    lines = head.splitlines()
    if lines and not any(line.lstrip().startswith(b"{") for line in lines):
        begins = lines[0].decode(errors="replace")[:60]
        raise InvalidInputError(
            f"{path} is not JSONL, it begins with {begins!r}: write one JSON object a line, also for CSV (docs/data.md has "
            "the fields)",
            file=path,
        )


class AppendLog:
    """An append-only JSONL file, and the lines that stood in it when it was opened. Thread-safe; a context manager.

    Opening makes the file and its folder if they are missing, and cuts off a torn last line. A line is with the operating
    system when `append` returns, so a killed process loses nothing, and on disk at most `sync_every_seconds` later (0: when
    `append` returns). If the disk is full, `append` raises OSError and leaves no half line behind.
    exclusive: PreconditionError if another process has the file open in this way. Without it, let only one process write.
    """

    def __init__(
        self, path: Path, *, mode: int = 0o666, sync_every_seconds: float = 0.0, exclusive: bool = False
    ) -> None:
        self.path = path
        self._sync_every_seconds = sync_every_seconds
        self._synced_at = time.monotonic()
        self._lock = Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
        try:
            if exclusive:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = path.read_bytes()
            self.lines, size_bytes = whole_lines(content)
            if size_bytes < len(content):
                os.ftruncate(self._descriptor, size_bytes)
        except BaseException as error:
            os.close(self._descriptor)
            if isinstance(error, BlockingIOError):
                raise PreconditionError(
                    f"{path} is being written by another run: wait for it, or choose another folder"
                ) from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def parsed(self, parse: Callable[[bytes], Record], what: str) -> list[Record]:
        """`lines` through `parse`. CorruptDataError with file and line number if it raises ValueError; what: "an answer"."""
        records = []
        for number, line in enumerate(self.lines, start=1):
            try:
                records.append(parse(line))
            except ValidationError as error:
                problem = validation_problems(error, at_most=1)
                raise CorruptDataError(f"{self.path} line {number}: not {what}: {problem}") from error
            except ValueError as error:
                raise CorruptDataError(f"{self.path} line {number}: not {what}: {error}") from error
        return records

    def append(self, line: bytes) -> None:
        """Write one line; the newline is added. `lines` stays what it was."""
        content = line + b"\n"
        with self._lock:
            before = os.fstat(self._descriptor).st_size
            try:
                written = 0
                while written < len(content):
                    written += os.write(self._descriptor, content[written:])
                if time.monotonic() - self._synced_at >= self._sync_every_seconds:
                    self._sync()
            except OSError:  # half a line must not run into the next one
                os.ftruncate(self._descriptor, before)
                raise

    def close(self) -> None:
        """Wait until everything is on disk, and release the file."""
        with self._lock:
            try:
                self._sync()
            finally:
                os.close(self._descriptor)

    def _sync(self) -> None:
        os.fsync(self._descriptor)
        self._synced_at = time.monotonic()
