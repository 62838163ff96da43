"""Cuts a stream of byte chunks into numbered lines with bounded memory. Knows nothing of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_LINE_BYTES = 16 * 1024 * 1024
EXCERPT_CHARACTERS = 200
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHITE_SPACE = b" \t\r\n"


@dataclass(frozen=True)
class Line:
    """One non-blank line without surrounding white space. `content` is None if it was longer than the limit; `head` is its start."""

    number: int
    head: bytes
    content: bytes | None


def excerpt(data: bytes) -> str:
    """The first 200 characters of a line as text; bytes that are no UTF-8 show as the replacement character."""
    return data[: EXCERPT_CHARACTERS * 4].decode("utf-8", errors="replace")[:EXCERPT_CHARACTERS]


def split_lines(chunks: Iterable[bytes], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Every non-blank line with its number, counted from 1.

    Accepts LF and CRLF, a byte order mark at the start, and a last line without an end. Holds at most one chunk and
    `max_line_bytes` of an unfinished line; of a longer one only the head is kept and the rest is read past.
    """
    number = 0
    pending: list[bytes] = []
    pending_bytes = 0
    for chunk in _without_mark(chunks):
        first, *rest = chunk.split(b"\n")
        if pending_bytes <= max_line_bytes:
            pending.append(first)
        pending_bytes += len(first)
        if not rest:
            continue
        *whole, last = rest
        number += 1
        yield from _line(number, b"".join(pending), pending_bytes, max_line_bytes)
        for content in whole:
            number += 1
            yield from _line(number, content, len(content), max_line_bytes)
        pending, pending_bytes = [last], len(last)
    if pending:
        yield from _line(number + 1, b"".join(pending), pending_bytes, max_line_bytes)


def _line(number: int, content: bytes, size_bytes: int, max_line_bytes: int) -> Iterator[Line]:
    if size_bytes > max_line_bytes:
        yield Line(number, content[: EXCERPT_CHARACTERS * 4], None)
        return
    stripped = content.strip(WHITE_SPACE)
    if stripped:
        yield Line(number, stripped, stripped)


def _without_mark(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes without a leading byte order mark, however the chunks cut it."""
    iterator = iter(chunks)
    start = b""
    for chunk in iterator:
        start += chunk
        if len(start) >= len(BYTE_ORDER_MARK):
            break
    if start:
        yield start.removeprefix(BYTE_ORDER_MARK)
    yield from iterator
