"""Texts that are looked for, as pieces that are found however a file escapes, folds or cuts them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from html import escape
from typing import Any

import numpy as np

from burnish.schemas.runlog import RunLogLine

SHORTEST = 12  # characters: a shorter text is anybody's
PIECE = 24
ANCHOR = 8  # bytes
ERASED = "[erased]"
BLOCK_BYTES = 8 << 20
_TABLE_BITS = 22
# What names or sorts a line, and is no text of a person.
_NOT_TEXT = frozenset(
    {"question_id", "evidence_files", "grade", "failure_label", "run_id", "slice", "model", "timestamp", "user_id", "trace_id", "finish_reason", "graded_by"}
)  # fmt: skip


def texts_of(line: RunLogLine) -> set[str]:
    """Every text of a line: what was asked, shown, answered, corrected and said of it, and its extra keys."""
    fields = {name: value for name, value in line.__dict__.items() if name not in _NOT_TEXT and name != "messages"}
    messages = [message.model_dump() for message in line.messages or ()]
    spoken = [{key: value for key, value in message.items() if key != "role"} for message in messages]
    return set(_strings([fields, spoken, line.model_extra or {}]))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner)


def lines(text: str) -> list[str]:
    """Those of at least SHORTEST characters, without white space around them."""
    return [line for line in map(str.strip, text.splitlines()) if len(line) >= SHORTEST]


def pieces(text: str) -> set[str]:
    """Windows of PIECE characters that cover each line of a text; a shorter line is one."""
    found = set()
    for line in lines(text):
        last = max(0, len(line) - PIECE)
        found |= {line[start : start + PIECE] for start in (*range(0, last, PIECE), last)}
    return found


def with_whole_lines(wanted: Collection[str], texts: Iterable[str]) -> set[str]:
    """The pieces, and each line of these texts that holds one: to replace all of it where it stands whole."""
    wanted = set(wanted)
    return wanted | {line for text in texts for line in lines(text) if not wanted.isdisjoint(pieces(line))}


def spellings(text: str) -> set[bytes]:
    """How JSON, JSON in JSON, and HTML write it."""
    plain = {text, escape(text), escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")}
    plain |= {_json(text, ascii_only) for ascii_only in (True, False)}
    plain |= {_json(written, False) for written in list(plain)}
    return {written.encode(errors="surrogatepass") for written in plain}


def _json(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


class Texts:
    """A set of pieces to find and replace. Fast for many: windows of 8 bytes are looked up, and what fits is compared."""

    def __init__(self, wanted: Collection[str]) -> None:
        self.pieces = sorted(wanted)
        self._spelt = [(spelt, number) for number, piece in enumerate(self.pieces) for spelt in spellings(piece)]
        self.longest = max((len(spelt) for spelt, _ in self._spelt), default=0)
        windows = Counter(anchor for spelt, _ in self._spelt for anchor in _anchors(spelt))
        self._by_anchor: dict[int, list[tuple[int, bytes, int]]] = defaultdict(list)
        for spelt, number in self._spelt:
            anchors = _anchors(spelt)
            offset = min(range(len(anchors)), key=lambda at: windows[anchors[at]])
            self._by_anchor[int.from_bytes(anchors[offset], "little")].append((offset, spelt, number))
        self._anchors = np.array(sorted(self._by_anchor), dtype=np.uint64)
        self._table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        self._table[_low_bits(self._anchors)] = True

    def __bool__(self) -> bool:
        return bool(self.pieces)

    def found_in(self, data: bytes) -> set[int]:
        """Numbers of the pieces that stand in the data."""
        return {number for _, _, number in self._occurrences(data)}

    def replaced(self, data: bytes) -> bytes:
        """The data with every piece replaced by ERASED; neighbours become one."""
        spans = sorted((start, end) for start, end, _ in self._occurrences(data))
        out, position = [], 0
        for start, end in _merged(spans):
            out += [data[position:start], ERASED.encode()]
            position = end
        return b"".join([*out, data[position:]])

    def _occurrences(self, data: bytes) -> Iterator[tuple[int, int, int]]:
        """(start, end, number of the piece)."""
        if not self.pieces:
            return
        for shift in range(ANCHOR):
            count = (len(data) - shift) // ANCHOR
            if count <= 0:
                continue
            view = np.frombuffer(data, dtype="<u8", count=count, offset=shift)
            hits = np.flatnonzero(self._table[_low_bits(view)])
            hits = hits[np.isin(view[hits], self._anchors)]
            for hit in hits.tolist():
                at = hit * ANCHOR + shift
                for offset, spelt, number in self._by_anchor[int(view[hit])]:
                    start = at - offset
                    if start >= 0 and data.startswith(spelt, start):
                        yield start, start + len(spelt), number


def _anchors(spelt: bytes) -> list[bytes]:
    return [spelt[at : at + ANCHOR] for at in range(len(spelt) - ANCHOR + 1)]


def _low_bits(values: np.ndarray) -> np.ndarray:
    folded: np.ndarray = (values ^ (values >> np.uint64(29))) & np.uint64((1 << _TABLE_BITS) - 1)
    return folded.astype(np.int64)


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    current: tuple[int, int] | None = None
    for start, end in spans:
        if current is not None and start <= current[1]:
            current = current[0], max(end, current[1])
            continue
        if current is not None:
            yield current
        current = start, end
    if current is not None:
        yield current
