"""Files of any format to a spool of run log lines, with a report of what was found. Called by `burnish runs import` and by the curator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from burnish.errors import InvalidInputError
from burnish.runlogs.readers import registry
from burnish.runlogs.traces.files import Record, records
from burnish.runlogs.traces.joining import Joiner, grouped
from burnish.runlogs.traces.mapping import Mapper
from burnish.runlogs.traces.pieces import MISSHAPEN, Trace, UnreadError

LOOKED_AT = 50  # records of a file, before its format is known
SHOWN_PROBLEMS = 20
PREVIEWED = 10


@dataclass
class Recognised:
    """The format of a file, and why."""

    file: Path
    format: str
    why: str


@dataclass
class Report:
    """What an import read and made. preview: the first lines."""

    recognised: list[Recognised] = field(default_factory=list)
    records: int = 0
    traces: int = 0
    spans: Counter[str] = field(default_factory=Counter)
    feedback: int = 0
    lines: int = 0
    grades: Counter[str] = field(default_factory=Counter)
    retrieval: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    unread: int = 0
    problems: list[str] = field(default_factory=list)
    preview: list[dict[str, Any]] = field(default_factory=list)
    without_calls: int = 0

    def problem(self, record: Record, reason: str) -> None:
        self.unread += 1
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(f"{record.file}, record {record.number}: {reason}")


def recognise(file: Path) -> Recognised:
    """The format of a file by its first records. InvalidInputError if it is none that a reader knows; it names the keys that were found."""
    keys: Counter[str] = Counter()
    for record in _first(records(file), LOOKED_AT):
        if record.value is None:
            continue
        keys.update(record.value.keys())
        for name, reader in registry.READERS.items():
            try:
                why = next(filter(None, map(reader.recognise, _unpacked(reader, record.value, LOOKED_AT))), None)
            except MISSHAPEN:
                continue
            if why:
                return Recognised(file, name, why)
    found = ", ".join(name[:40] for name, _ in keys.most_common(12)) or "no record"
    raise InvalidInputError(
        f"{file}: its format is not recognised; it has the keys {found}. Say what it is with --from ({', '.join(registry.READERS)})",
        file=file,
    )


def convert(files: Sequence[Path], source: str, mapper: Mapper, out: IO[bytes] | None) -> Report:
    """Read the files, which belong together, and write their lines to `out` (None: nowhere, for a preview). source: a reader's name or `auto`.

    InvalidInputError if nothing is a line. `mapper.scores.check` says afterwards whether a score needs a rule.
    """
    report = Report()
    sources = [recognise(file) if source == "auto" else Recognised(file, source, "--from says so") for file in files]
    report.recognised = sources
    with Joiner() as joiner:
        for trace in _traces(sources, joiner, report):
            if isinstance(trace, dict):
                _write(trace, report, out)
            else:
                _map(trace, mapper, report, out)
    if not report.lines:
        raise _nothing(report)
    return report


def _traces(sources: Iterable[Recognised], joiner: Joiner, report: Report) -> Iterator[Trace | dict[str, Any]]:
    """Traces, and lines that are in our own format already. What must be joined comes last."""
    for source in sources:
        reader = registry.READERS[source.format]
        for record in records(source.file):
            if record.value is None:
                report.records += 1
                report.problem(record, record.problem or "")
                continue
            try:
                inner_records = list(_unpacked(reader, record.value))
            except MISSHAPEN as error:
                inner_records = []
                report.records += 1
                report.problem(record, _misshapen(source, error))
            for inner in inner_records:
                report.records += 1
                if source.format == registry.LINES_FORMAT:
                    yield registry.LINES.line(inner)
                    continue
                try:
                    pieces = list(reader.read(inner))
                except MISSHAPEN as error:
                    report.problem(record, _misshapen(source, error))
                else:
                    if source.format in registry.JOINED:
                        joiner.add(pieces)
                    elif (trace := grouped(pieces)) is not None:
                        yield trace
    yield from joiner.traces()


def _misshapen(source: Recognised, error: Exception) -> str:
    if isinstance(error, UnreadError):
        return str(error)
    return f"not as {source.format} writes it ({type(error).__name__}: {error})"


def _unpacked(reader: Any, value: dict[str, Any], at_most: int | None = None) -> Iterator[dict[str, Any]]:
    inner = (item for item in reader.unpack(value) if isinstance(item, dict))
    return _first(inner, at_most) if at_most else inner


def _first(items: Iterable[Any], count: int) -> Iterator[Any]:
    for item, _ in zip(items, range(count), strict=False):
        yield item


def _map(trace: Trace, mapper: Mapper, report: Report, out: IO[bytes] | None) -> None:
    report.traces += 1
    report.feedback += len(trace.feedback)
    report.spans.update(span.kind for span in trace.spans)
    for span in trace.spans:
        report.unmapped.update(span.metadata.keys())
    lines = 0
    for line in mapper.lines(trace):
        lines += 1
        _write(line, report, out)
    report.without_calls += not lines


def _write(line: dict[str, Any], report: Report, out: IO[bytes] | None) -> None:
    report.lines += 1
    report.grades[str(line.get("grade") or "ungraded")] += 1
    hit = line.get("retrieval_hit")
    report.retrieval["unknown" if hit is None else "hit" if hit else "miss"] += 1
    if len(report.preview) < PREVIEWED:
        report.preview.append(line)
    if out is not None:
        out.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS))


def _nothing(report: Report) -> InvalidInputError:
    formats = ", ".join(sorted({source.format for source in report.recognised}))
    why = f" {report.problems[0]}" if report.problems else ""
    if report.without_calls:
        why = f" {report.without_calls:,} traces have no model call ({report.feedback:,} scores): give the file with the model calls too.{why}"
    return InvalidInputError(f"none of the {report.records:,} records, read as {formats}, gives a run log line.{why}")
