"""Streaming ingest: JSONL in, immutable Parquet parts and rejected lines out, in a spool folder, with bounded memory.

Nothing is dropped: each non-blank line ends in a part or in the rejects. Called by the curator; touches no network.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from burnish.digests import VERSION_LENGTH, canonical_json, file_sha256
from burnish.errors import InvalidInputError
from burnish.runlogs.columns import CATEGORIES, SCHEMA, to_batch
from burnish.runlogs.lines import Line, excerpt, split_lines
from burnish.runlogs.parsing import RejectedError, parse_line
from burnish.schemas.base import FileEntry
from burnish.schemas.logged import UNGRADED, grade_word
from burnish.schemas.runlog import (
    FAILING_GRADES,
    NO_GRADE,
    PASSING_GRADES,
    RejectedLine,
    RunLogLine,
    RunLogManifest,
)

SHOWN_REJECTS = 100
NAMED_REJECTS = 3
NAMED_GRADES = 20


@dataclass(frozen=True)
class Limits:
    """Where a row group (batch) and a part end. Bytes are raw JSONL; memory is a few times batch_bytes at most."""

    batch_lines: int = 8192
    batch_bytes: int = 16 * 1024 * 1024
    part_lines: int = 16 * 8192
    part_bytes: int = 256 * 1024 * 1024


DEFAULT_LIMITS = Limits()


@dataclass
class Ingested:
    """What a file came to: everything of the manifest but its name, and the spool folder that holds `files`."""

    id: str
    spool: Path
    files: list[FileEntry]
    lines: int
    accepted: int
    rejected: int
    size_bytes: int
    grades: dict[str, int]
    rejected_lines: list[RejectedLine] = field(default_factory=list)

    def manifest(self, name: str) -> RunLogManifest:
        return RunLogManifest(
            id=self.id,
            name=name,
            files=self.files,
            lines=self.lines,
            accepted=self.accepted,
            rejected=self.rejected,
            size_bytes=self.size_bytes,
            grades=self.grades,
            rejected_lines=self.rejected_lines,
        )


def ingest(
    chunks: Iterable[bytes],
    spool: Path,
    limits: Limits = DEFAULT_LIMITS,
    grades: Mapping[str, str] | None = None,
) -> Ingested:
    """Read the whole stream into `spool` (an empty folder of the caller's, who also removes it).

    The id is a digest of the accepted lines' bytes without surrounding white space, in order: LF or CRLF, blank lines
    and bad lines do not change it; what `grades` says of a word does. File names carry the digest of their content and a random word, so that
    no two imports share a file, and each may remove its own. InvalidInputError if no line is good (it names the first reasons), or if a grade is no known word and not in
    `grades`: word -> the known word that it means, or `ungraded`, in any case.
    """
    known = _checked(grades or {})
    sizes = _Size()
    rejects = _Rejects(spool)
    parts = _Parts(spool, limits)
    if known:
        parts.content.update(canonical_json(known) + b"\n")
    with rejects, parts:
        for line in split_lines(sizes.count(chunks)):
            _take(line, parts, rejects, known)
    if not parts.accepted:
        raise _nothing_good(rejects)
    _check_grades(parts.grades)
    return Ingested(
        id=parts.content.hexdigest()[:VERSION_LENGTH],
        spool=spool,
        files=[*parts.files, *rejects.files],
        lines=parts.accepted + rejects.count,
        accepted=parts.accepted,
        rejected=rejects.count,
        size_bytes=sizes.total,
        grades=dict(sorted(parts.grades.items())),
        rejected_lines=rejects.first,
    )


def meanings(given: Iterable[str]) -> dict[str, str]:
    """Word -> meaning, of `word=meaning` texts. InvalidInputError for a text without a sign."""
    pairs = {}
    for text in given:
        word, sign, meaning = text.rpartition("=")
        if not sign:
            raise InvalidInputError(f"grade {text!r}: write WORD=MEANING, as in good=correct", field="grade")
        pairs[word] = meaning
    return pairs


def _checked(grades: Mapping[str, str]) -> dict[str, str]:
    checked = {_word(word): _word(meaning) for word, meaning in grades.items()}
    known = (*PASSING_GRADES, *FAILING_GRADES, UNGRADED)
    for word, meaning in checked.items():
        if meaning not in known:
            raise InvalidInputError(
                f"grade {word!r}: {meaning!r} is no known grade; there are {', '.join(known)}", field="grade"
            )
    return checked


def _word(grade: str) -> str:
    return grade.strip().casefold()


def _take(line: Line, parts: _Parts, rejects: _Rejects, grades: Mapping[str, str]) -> None:
    if line.content is None:
        rejects.add(line, "longer than 16 MiB")
        return
    try:
        parsed = parse_line(line.content)
    except RejectedError as reason:
        rejects.add(line, str(reason))
        return
    meaning = grades.get(_word(parsed.grade)) if grades and parsed.grade else None
    if meaning is not None:
        parsed = parsed.model_copy(update={"grade": grade_word(meaning)})
    parts.add(line.number, line.content, parsed)


def _check_grades(grades: Counter[str]) -> None:
    """InvalidInputError for words of which nobody has said whether they pass."""
    known = {*PASSING_GRADES, *FAILING_GRADES, NO_GRADE}
    words = {word: count for word, count in grades.most_common() if _word(word) not in known}
    if not words:
        return
    found = ", ".join(f"{word!r} ({count:,} lines)" for word, count in list(words.items())[:NAMED_GRADES])
    more = f" and {len(words) - NAMED_GRADES} more" if len(words) > NAMED_GRADES else ""
    raise InvalidInputError(
        f"grades that are no known words: {found}{more}. Say what each means, and import again: "
        f"`burnish runs import FILE {' '.join(f'--grade {shlex.quote(word)}=…' for word in list(words)[:NAMED_REJECTS])}`, with correct, "
        "acceptable, incorrect or ungraded after the sign",
        field="grade",
        words=json.dumps(list(words)),
    )


def _nothing_good(rejects: _Rejects) -> InvalidInputError:
    if not rejects.count:
        return InvalidInputError("the file is empty: send JSONL, one graded run a line")
    reasons = "; ".join(f"line {r.line_number}: {r.reason}" for r in rejects.first[:NAMED_REJECTS])
    return InvalidInputError(f"none of the {rejects.count} lines is a run log line. {reasons}", lines=rejects.count)


class _Size:
    """Counts the bytes that flow through."""

    total = 0

    def count(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.total += len(chunk)
            yield chunk


class _Rejects:
    """rejected-<digest>-<random>.jsonl: every refused line; the first 100 are kept in memory too."""

    def __init__(self, spool: Path) -> None:
        self.count = 0
        self.first: list[RejectedLine] = []
        self.files: list[FileEntry] = []
        self._spool = spool

    def __enter__(self) -> None:
        self._path = self._spool / "rejected.open"
        self._handle = self._path.open("wb")

    def __exit__(self, *_: object) -> None:
        self._handle.close()
        if self.count:
            self.files.append(seal(self._path, "rejected", ".jsonl"))
        else:
            self._path.unlink()

    def add(self, line: Line, reason: str) -> None:
        rejected = RejectedLine(line_number=line.number, reason=reason, excerpt=excerpt(line.head))
        self._handle.write(orjson.dumps(rejected.model_dump(), option=orjson.OPT_APPEND_NEWLINE))
        self.count += 1
        if len(self.first) < SHOWN_REJECTS:
            self.first.append(rejected)


class _Parts:
    """part-<number>-<digest>-<random>.parquet: accepted lines in order, a row group a batch."""

    def __init__(self, spool: Path, limits: Limits) -> None:
        self.accepted = 0
        self.content = hashlib.sha256()
        self.grades: Counter[str] = Counter()
        self.files: list[FileEntry] = []
        self._spool = spool
        self._limits = limits
        self._writer: pq.ParquetWriter | None = None
        self._part_lines = self._part_bytes = 0
        self._clear_batch()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._seal_part()

    def add(self, number: int, content: bytes, line: RunLogLine) -> None:
        self._numbers.append(number)
        self._contents.append(content)
        self._lines.append(line)
        self._batch_bytes += len(content)
        if len(self._lines) >= self._limits.batch_lines or self._batch_bytes >= self._limits.batch_bytes:
            self._flush()

    def _flush(self) -> None:
        if not self._lines:
            return
        self.content.update(b"\n".join(self._contents) + b"\n")
        self.grades.update(line.grade or NO_GRADE for line in self._lines)
        self.accepted += len(self._lines)
        self._write(to_batch(self._numbers, self._lines))
        self._clear_batch()

    def _write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._path = self._spool / "part.open"
            self._writer = pq.ParquetWriter(
                self._path, SCHEMA, compression="zstd", compression_level=1, use_dictionary=CATEGORIES
            )
        self._writer.write_batch(batch, row_group_size=batch.num_rows)
        self._part_lines += batch.num_rows
        self._part_bytes += self._batch_bytes
        if self._part_lines >= self._limits.part_lines or self._part_bytes >= self._limits.part_bytes:
            self._seal_part()

    def _seal_part(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        self._part_lines = self._part_bytes = 0
        self.files.append(seal(self._path, f"part-{len(self.files):05d}", ".parquet"))

    def _clear_batch(self) -> None:
        self._numbers: list[int] = []
        self._contents: list[bytes] = []
        self._lines: list[RunLogLine] = []
        self._batch_bytes = 0


def seal(path: Path, stem: str, suffix: str) -> FileEntry:
    """Give a finished file a name of its own: `<stem>-<16 hex of its digest>-<8 random hex><suffix>`, in the same folder."""
    sha256 = file_sha256(path)
    final = path.with_name(f"{stem}-{sha256[:VERSION_LENGTH]}-{secrets.token_hex(4)}{suffix}")
    path.rename(final)
    return FileEntry(path=final.name, size_bytes=final.stat().st_size, sha256=sha256)
