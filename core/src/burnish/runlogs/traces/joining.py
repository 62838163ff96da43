"""Pieces in any order to whole traces, on disk: an export may be larger than memory, and its scores may stand in another file."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import orjson

from burnish.runlogs.traces.pieces import Document, Feedback, Piece, Span, Trace

BATCH = 2000


def grouped(pieces: Iterable[Piece]) -> Trace | None:
    """The trace of pieces that stand together; None if there are none."""
    spans, feedback = [], []
    for piece in pieces:
        if isinstance(piece, Span):
            spans.append(piece)
        else:
            feedback.append(piece)
    if not spans and not feedback:
        return None
    return Trace((spans[0] if spans else feedback[0]).trace_id, spans, feedback)


class Joiner:
    """Collects pieces, then gives traces in the order in which each was first seen. A context manager; its file goes with it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="burnish-join-", dir=folder)
        self._database = sqlite3.connect(Path(self._folder.name) / "pieces.sqlite")
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("CREATE TABLE traces (number INTEGER PRIMARY KEY, id TEXT UNIQUE)")
        self._database.execute("CREATE TABLE pieces (trace INTEGER, is_span INTEGER, span TEXT, content BLOB)")
        self._batch: list[tuple[str, bool, str | None, bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._folder.cleanup()

    def add(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            content = orjson.dumps(piece, default=str, option=orjson.OPT_NON_STR_KEYS)
            is_span = isinstance(piece, Span)
            span_id = piece.id if isinstance(piece, Span) else piece.span_id
            self._batch.append((piece.trace_id, is_span, span_id, content))
        if len(self._batch) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        """A piece without its trace's id belongs to nobody until all spans are known."""
        named = ((trace_id,) for trace_id, *_ in self._batch if trace_id)
        self._database.executemany("INSERT OR IGNORE INTO traces (id) VALUES (?)", named)
        self._database.executemany(
            "INSERT INTO pieces VALUES ((SELECT number FROM traces WHERE id = ?), ?, ?, ?)", self._batch
        )
        self._batch.clear()

    def traces(self) -> Iterator[Trace]:
        self._flush()
        self._database.execute("CREATE INDEX by_span ON pieces (span) WHERE is_span")
        self._database.execute(
            "UPDATE pieces SET trace = (SELECT s.trace FROM pieces s WHERE s.is_span AND s.span = pieces.span) WHERE trace IS NULL"
        )
        self._database.execute("CREATE INDEX by_trace ON pieces (trace)")
        rows = self._database.execute(
            "SELECT t.id, p.is_span, p.content FROM traces t JOIN pieces p ON p.trace = t.number ORDER BY t.number, p.rowid"
        )
        trace: Trace | None = None
        for trace_id, is_span, content in rows:
            if trace is None or trace.id != trace_id:
                if trace is not None:
                    yield trace
                trace = Trace(trace_id, [], [])
            fields = orjson.loads(content)
            if is_span:
                fields["documents"] = [Document(**document) for document in fields["documents"]]
                trace.spans.append(Span(**fields))
            else:
                trace.feedback.append(Feedback(**fields))
        if trace is not None:
            yield trace
