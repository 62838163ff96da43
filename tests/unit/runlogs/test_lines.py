"""Cutting a byte stream into numbered lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from burnish.runlogs.lines import Line, split_lines


def lines(*chunks: bytes, limit: int = 1000) -> list[tuple[int, bytes | None]]:
    return [(line.number, line.content) for line in split_lines(chunks, max_line_bytes=limit)]


def test_numbers_count_blank_lines_but_blank_lines_are_not_returned() -> None:
    assert lines(b"a\n\n  \t\nb\r\n\r\nc") == [(1, b"a"), (4, b"b"), (6, b"c")]


def test_a_byte_order_mark_is_dropped_at_the_start_only() -> None:
    assert lines(b"\xef", b"\xbb", b"\xbfa\n\xef\xbb\xbfb") == [(1, b"a"), (2, b"\xef\xbb\xbfb")]


def test_an_empty_stream_has_no_line() -> None:
    assert lines() == []
    assert lines(b"", b"") == []


def test_a_last_line_without_an_end_is_a_line() -> None:
    assert lines(b"a\nb") == [(1, b"a"), (2, b"b")]


def test_a_line_over_the_limit_keeps_its_head_and_number_and_the_next_is_whole() -> None:
    stream = [b"ok\n", b"x" * 30, b"y" * 30, b"z" * 30, b"\nnext\n"]
    oversized = Line(2, b"x" * 30 + b"y" * 30, None)
    assert list(split_lines(stream, max_line_bytes=50)) == [Line(1, b"ok", b"ok"), oversized, Line(3, b"next", b"next")]


def test_a_long_line_is_not_collected_in_memory() -> None:
    """Ten thousand chunks of an endless line: what is kept stays below the limit and one chunk."""
    chunk = b"x" * 1000
    [line] = split_lines((chunk for _ in range(10_000)), max_line_bytes=5000)
    assert line.content is None
    assert len(line.head) <= 800


@given(st.binary(max_size=200), st.lists(st.integers(1, 40), max_size=20))
def test_chunking_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert lines(*pieces, rest, limit=60) == lines(data, limit=60)
