"""Files to records: JSONL, a JSON document, CSV, Parquet, a zip of JSON files; packed by gzip or zstd or not. Streams, within bounds."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from burnish.errors import InvalidInputError
from burnish.extras import require
from burnish.runlogs.lines import MAX_LINE_BYTES, split_lines
from burnish.runlogs.traces.pieces import maybe_json

BLOCK_BYTES = 1 << 20
DOCUMENT_BYTES = 512 << 20  # of a JSON document that is no array of records
FREE_BYTES = 256 << 20  # a file may unpack to this, and to RATIO times its size
RATIO = 500
ZSTD = 93  # a zip's number for it; Python 3.14 is the first that reads it
LOCAL_HEADER_BYTES = 30
BETWEEN = re.compile(r"[ \t\r\n,]*")
BAD_UNPACKING = (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class Record:
    """One record with where it is from: a line, an element or a row, counted from 1. A problem instead of a value if it cannot be read."""

    file: Path
    number: int
    value: dict[str, Any] | None
    problem: str | None = None


def records(path: Path) -> Iterator[Record]:
    """Every record of a file. InvalidInputError if the file as a whole cannot be read."""
    if not path.is_file():
        raise InvalidInputError(f"{path}: no such file", file=path)
    with path.open("rb") as handle:
        magic = handle.read(4)
    try:
        if magic == b"PAR1":
            yield from _parquet(path)
        elif magic[:2] == b"PK":
            yield from _zip(path)
        else:
            with path.open("rb") as handle:
                yield from _text(path, _Bounded(_unpacked(handle, magic), path))
    except BAD_UNPACKING as error:
        raise InvalidInputError(f"{path} cannot be unpacked ({error}): pack or export it again", file=path) from error
    except RecursionError as error:
        raise InvalidInputError(f"{path} is nested too deeply to be a trace", file=path) from error


def is_jsonl(path: Path) -> bool:
    """Whether a file is JSONL, plain or in gzip: what the curator takes as it is."""
    if not path.is_file():
        raise InvalidInputError(f"{path}: no such file", file=path)
    with path.open("rb") as handle:
        magic = handle.read(4)
    if magic[:2] == b"\x1f\x8b" and path.suffix != ".gz":
        return False
    try:
        with gzip.open(path) if magic[:2] == b"\x1f\x8b" else path.open("rb") as handle:
            lines = handle.read(BLOCK_BYTES).removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except BAD_UNPACKING as error:
        raise InvalidInputError(f"{path} cannot be unpacked ({error}): pack or export it again", file=path) from error
    for line in lines[: None if len(lines) == 1 else -1]:
        if line.strip():
            try:
                return isinstance(orjson.loads(line), dict)
            except orjson.JSONDecodeError:
                continue
    return False


def _unpacked(handle: IO[bytes], magic: bytes) -> IO[bytes]:
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(handle)  # type: ignore[return-value]
    if magic == b"\x28\xb5\x2f\xfd":
        arrow = require("pyarrow")
        stream: IO[bytes] = arrow.CompressedInputStream(arrow.PythonFile(handle), "zstd")
        return stream
    return handle


class _Bounded:
    """Reads blocks, and stops a bomb: a file that unpacks to far more than data does."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._most = max(FREE_BYTES, RATIO * path.stat().st_size)
        self._read_bytes = 0
        self._ahead = b""

    def peek(self, size_bytes: int) -> bytes:
        """The next bytes, not consumed: fewer only at the end."""
        while len(self._ahead) < size_bytes and (block := self._block()):
            self._ahead += block
        return self._ahead

    def blocks(self) -> Iterator[bytes]:
        if self._ahead:
            yield self._ahead
            self._ahead = b""
        while block := self._block():
            yield block

    def _block(self) -> bytes:
        try:
            block = bytes(self._stream.read(BLOCK_BYTES))
        except OSError as error:  # pyarrow's word for a torn zstd file; gzip's own errors are OSErrors too
            raise InvalidInputError(
                f"{self._path} cannot be unpacked ({error}): pack or export it again", file=self._path
            ) from error
        self._read_bytes += len(block)
        if self._read_bytes > self._most:
            raise InvalidInputError(
                f"{self._path} unpacks to more than {RATIO} times its size, as no log does: unpack it and look",
                file=self._path,
            )
        return block


def _text(path: Path, stream: _Bounded) -> Iterator[Record]:
    head = stream.peek(BLOCK_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        raise InvalidInputError(f"{path} is empty", file=path)
    if head[:1] == b"[":
        yield from _array(path, stream)
    elif head[:1] != b"{" and not any(line.lstrip()[:1] == b"{" for line in head.split(b"\n")[1:]):
        yield from _csv(path, stream, head)
    elif _is_jsonl(head, stream):
        yield from _jsonl(path, stream)
    else:
        yield Record(path, 1, _document(path, b"".join(_at_most(path, stream, DOCUMENT_BYTES))))


def _is_jsonl(head: bytes, stream: _Bounded) -> bool:
    """Whether the first line is an object by itself, with more lines after it; what has one line is a document."""
    if head[:1] != b"{":
        return True
    if b"\n" not in head:
        head = stream.peek(MAX_LINE_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    line, newline, rest = head.partition(b"\n")
    if not newline or not rest.strip():
        return False
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return rest.lstrip()[:1] == b"{"  # a bad first line among objects


def _jsonl(path: Path, stream: _Bounded) -> Iterator[Record]:
    for line in split_lines(stream.blocks()):
        if line.content is None:
            yield Record(path, line.number, None, f"longer than {MAX_LINE_BYTES >> 20} MiB")
            continue
        try:
            value = orjson.loads(line.content)
        except orjson.JSONDecodeError as error:
            yield Record(path, line.number, None, f"not JSON: {error.msg} at column {error.pos + 1}")
            continue
        yield _record(path, line.number, value)


def _record(path: Path, number: int, value: Any) -> Record:
    if isinstance(value, dict):
        return Record(path, number, value)
    return Record(path, number, None, "not a JSON object")


def _at_most(path: Path, stream: _Bounded, size_bytes: int) -> Iterator[bytes]:
    read = 0
    for block in stream.blocks():
        read += len(block)
        if read > size_bytes:
            raise InvalidInputError(
                f"{path} is one JSON document of more than {size_bytes >> 20} MiB: export it as JSONL, or in pages",
                file=path,
            )
        yield block


def _document(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} is no JSON: {error}", file=path) from error
    if problem := _unwritable(value):
        raise InvalidInputError(
            f"{path} holds what cannot be stored ({problem}): mend it, or export it as JSONL", file=path
        )
    return value if isinstance(value, dict) else {"value": value}


def _unwritable(value: Any) -> str | None:
    """What of a value cannot be written again: the standard decoder lets single surrogates and integers of any length through."""
    try:
        orjson.dumps(value)
    except TypeError as error:
        return str(error)
    return None


def _array(path: Path, stream: _Bounded) -> Iterator[Record]:
    """The elements of a JSON array, one in memory at a time."""
    decoder = json.JSONDecoder()
    text = io.TextIOWrapper(io.BufferedReader(_Raw(stream)), encoding="utf-8-sig", errors="replace")
    buffer = text.read(BLOCK_BYTES).lstrip()
    position, number = 1, 0
    while True:
        gap = BETWEEN.match(buffer, position)
        position = gap.end() if gap else position
        if buffer[position : position + 1] == "]":
            return
        try:
            value, end = decoder.raw_decode(buffer, position)
            if end == len(buffer) and not isinstance(value, dict):
                raise ValueError("a number may go on")
        except ValueError as error:
            buffer, position = buffer[position:], 0
            more = text.read(
                max(BLOCK_BYTES, len(buffer))
            )  # twice as much each time: an element is not decoded at every block
            if not more or len(buffer) > MAX_LINE_BYTES:
                size = f"longer than {MAX_LINE_BYTES >> 20} MiB" if more else str(error)
                raise InvalidInputError(
                    f"{path}: element {number + 1} of the JSON array is broken: {size}", file=path
                ) from None
            buffer += more
            continue
        position, number = end, number + 1
        problem = _unwritable(value)
        yield Record(path, number, None, f"cannot be stored: {problem}") if problem else _record(path, number, value)


class _Raw(io.RawIOBase):
    """The blocks of a stream as a file."""

    def __init__(self, stream: _Bounded) -> None:
        self._blocks = stream.blocks()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _csv(path: Path, stream: _Bounded, head: bytes) -> Iterator[Record]:
    first = head.partition(b"\n")[0]
    delimiter = max((",", "\t", ";"), key=lambda sign: first.count(sign.encode()))
    if not first.count(delimiter.encode()):
        begins = first[:60].decode(errors="replace")
        raise InvalidInputError(
            f"{path} is no JSONL, JSON, CSV or Parquet: it begins with {begins!r} (docs/data.md has the formats)",
            file=path,
        )
    csv.field_size_limit(MAX_LINE_BYTES)
    text = io.TextIOWrapper(io.BufferedReader(_Raw(stream)), encoding="utf-8-sig", errors="replace", newline="")
    rows = csv.DictReader(text, delimiter=delimiter)
    try:
        for number, row in enumerate(rows, start=1):
            yield Record(path, number, {key: value for key, value in row.items() if key is not None and value})
    except csv.Error as error:
        raise InvalidInputError(f"{path}, row {rows.line_num}: {error}", file=path) from error


def _parquet(path: Path) -> Iterator[Record]:
    parquet, arrow = require("pyarrow.parquet"), require("pyarrow")
    try:
        number = 0
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield Record(path, number, {key: _plain(value) for key, value in row.items() if value is not None})
    except (arrow.ArrowInvalid, OSError) as error:
        raise InvalidInputError(f"{path} is no whole Parquet file: {error}", file=path) from error


def _plain(value: Any) -> Any:
    """A value of Parquet as JSON has it: a time as text, a map as an object."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
            return {str(key): _plain(inner) for key, inner in value}
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _zip(path: Path) -> Iterator[Record]:
    """The JSON files of a zip, as records in the order of their names; nothing is written to disk."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".json"))
        samples = [name for name in names if name.startswith("samples/")] or names
        for number, name in enumerate(samples, start=1):
            entry = archive.getinfo(name)
            if entry.file_size > DOCUMENT_BYTES or entry.file_size > max(FREE_BYTES, RATIO * path.stat().st_size):
                raise InvalidInputError(
                    f"{path}: {name} unpacks to {entry.file_size >> 20} MiB, as no sample does", file=path
                )
            try:
                content = _member(path, archive, entry)
            except NotImplementedError as error:
                raise InvalidInputError(
                    f"{path} is packed in a way that Python's zipfile cannot read ({error}): `inspect log convert --to json` writes it as JSON",
                    file=path,
                ) from error
            except (OSError, RuntimeError, ValueError) as error:  # a wrong offset, a password, a name that is no text
                raise InvalidInputError(
                    f"{path}: {name} cannot be unpacked ({error}): pack or export it again", file=path
                ) from error
            yield _record(path, number, maybe_json(content.decode("utf-8", errors="replace")))


def _member(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The content of one file of a zip, never more than its entry states."""
    if entry.compress_type != ZSTD:
        with archive.open(entry) as member:
            return member.read(entry.file_size + 1)
    with path.open("rb") as handle:
        handle.seek(entry.header_offset)
        header = handle.read(LOCAL_HEADER_BYTES)
        handle.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), io.SEEK_CUR)
        packed = handle.read(entry.compress_size)
    arrow = require("pyarrow")
    content: bytes = arrow.CompressedInputStream(arrow.BufferReader(packed), "zstd").read(entry.file_size + 1)
    return content
