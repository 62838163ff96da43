"""Every container gives the same records, and a hostile file a clear error within bounds of memory."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from burnish.errors import InvalidInputError
from burnish.runlogs.lines import MAX_LINE_BYTES
from burnish.runlogs.traces.files import is_jsonl, records

ROWS = [{"id": f"r{number}", "text": f'Zeile {number}: ä,\n"quoted"'} for number in range(300)]


def jsonl() -> bytes:
    return b"".join(json.dumps(row).encode() + b"\r\n" for row in ROWS)


def as_csv() -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["id", "text"])
    writer.writeheader()
    writer.writerows(ROWS)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(content)
    return sink.getvalue().to_pybytes()


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        for number, row in enumerate(ROWS):
            archive.writestr(f"samples/{number:04d}.json", json.dumps(row))
    return sink.getvalue()


CONTAINERS: dict[str, Callable[[], bytes]] = {
    "jsonl": jsonl,
    "array": lambda: json.dumps(ROWS).encode(),
    "pretty array": lambda: json.dumps(ROWS, indent=2).encode(),
    "csv": as_csv,
    "parquet": parquet,
    "gzip": lambda: gzip.compress(jsonl()),
    "zstd": lambda: zstd(jsonl()),
    "packed array": lambda: gzip.compress(json.dumps(ROWS).encode()),
    "zip": zipped,
}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same_records(tmp_path: Path, name: str) -> None:
    found = list(records(write(tmp_path / "file", CONTAINERS[name]())))
    assert [record.value for record in found] == ROWS
    assert found[-1].number == 300


def test_a_large_array_comes_one_element_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("w") as handle:
        handle.write("[" + ",\n".join(json.dumps({"n": n, "text": "x" * 5_000}) for n in range(6000)) + "]")
    tracemalloc.start()
    assert sum(1 for _ in records(path)) == 6000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15e6, "the file has 30 MB"


def test_bad_lines_are_told_by_number(tmp_path: Path) -> None:
    content = b'{"a": 1}\nnonsense\n[1]\n' + b'{"b": "' + b"x" * MAX_LINE_BYTES + b'"}\n{"c": 2}'
    found = list(records(write(tmp_path / "x.jsonl", content)))
    assert [(r.number, r.value, r.problem) for r in found] == [
        (1, {"a": 1}, None),
        (2, None, "not JSON: invalid literal, expected 'null' at column 1"),
        (3, None, "not a JSON object"),
        (4, None, "longer than 16 MiB"),
        (5, {"c": 2}, None),
    ]


def test_a_zip_whose_entries_would_begin_before_the_file_is_refused(tmp_path: Path) -> None:
    """Its end states that the directory is further back than it is."""
    data = bytearray(zipped())
    data[data.rindex(b"PK\x05\x06") + 18] += 1
    with pytest.raises(InvalidInputError, match="cannot be unpacked"):
        list(records(write(tmp_path / "a.eval", bytes(data))))


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped())
    for start in (b"PK\x01\x02", b"PK\x03\x04"):
        at = -1
        while (at := data.find(start, at + 1)) >= 0:
            data[at + (8 if start == b"PK\x01\x02" else 6)] |= 1
    with pytest.raises(InvalidInputError, match="password"):
        list(records(write(tmp_path / "a.eval", bytes(data))))


def zip_bomb() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("samples/a.json", "w") as member:
        for _ in range(300):
            member.write(b" " * (1 << 20))
    return sink.getvalue()


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "empty": (lambda: b"", "is empty"),
    "deep array": (lambda: b"[" * 100_000, "nested too deeply|is broken"),
    "deep document": (lambda: b'{"a":' * 100_000, "nested too deeply"),
    "torn gzip": (lambda: gzip.compress(jsonl())[:-10], "cannot be unpacked"),
    "torn zstd": (lambda: zstd(jsonl() * 50)[:-30], "cannot be unpacked"),
    "torn zip": (lambda: zipped()[:-100], "cannot be unpacked"),
    "torn parquet": (lambda: parquet()[:-100], "no whole Parquet"),
    "torn array": (lambda: json.dumps(ROWS).encode()[:-5], "element 300 of the JSON array is broken"),
    "zip bomb": (zip_bomb, "unpacks to 300 MiB"),
    "surrogate": (lambda: b'{"a": "\\ud800"}', "surrogates not allowed"),
    "huge integer": (lambda: b'{\n"a": 36893488147419103232}', "Integer exceeds 64-bit range"),
    "prose": (lambda: b"Dear reader", "no JSONL, JSON, CSV or Parquet: it begins with 'Dear reader'"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_clear_error(tmp_path: Path, name: str) -> None:
    content, message = HOSTILE[name]
    with pytest.raises(InvalidInputError, match=message):
        list(records(write(tmp_path / "file", content())))


def test_an_element_that_cannot_be_stored_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    found = list(records(write(tmp_path / "file", b'[{"a": 1}, {"a": "\\ud800"}, {"a": 3}]')))
    assert [record.value for record in found] == [{"a": 1}, None, {"a": 3}]
    assert "surrogates not allowed" in (found[1].problem or "")


@pytest.mark.parametrize("pack", [lambda data: gzip.compress(data, 9), zstd])
def test_a_bomb_ends_within_bounds(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    piece = pack(b"\n" * (64 << 20))
    path = write(tmp_path / "bomb", piece * 6)
    tracemalloc.start()
    with pytest.raises(InvalidInputError, match=r"is empty|times its size"):
        list(records(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_only_plain_and_gzipped_jsonl_is_sent_as_it_is(tmp_path: Path) -> None:
    answers = {name: is_jsonl(write(tmp_path / f"{name}.gz", content())) for name, content in CONTAINERS.items()}
    assert [name for name, answer in answers.items() if answer] == ["jsonl", "gzip"]
