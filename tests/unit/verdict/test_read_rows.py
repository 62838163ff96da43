"""Result files: every fault is named by file, line and field."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from burnish.errors import InvalidInputError, NotFoundError
from burnish.testing import eval_side
from burnish.verdict import read_rows

ROW = {
    "question_id": "q",
    "sample": 0,
    "slice": "s",
    "targeted": True,
    "held_out": True,
    "passed": True,
    "score": 1.0,
    "answer": "é",
}


def line(**fields: object) -> bytes:
    return orjson.dumps({**ROW, **fields}) + b"\n"


def test_rows_come_back(tmp_path: Path) -> None:
    rows = eval_side(["PF", "S", "E"], prefix="q", slice="é")
    path = tmp_path / "base.jsonl"
    path.write_bytes(b"\n".join(row.model_dump_json().encode() for row in rows) + b"\n\n")
    assert read_rows(path) == rows


def test_optional_fields_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "base.jsonl"
    path.write_bytes(b'{"question_id": "q", "targeted": false, "held_out": true, "passed": true}\n')
    (row,) = read_rows(path)
    assert (row.sample, row.slice, row.score) == (0, "all", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"\n \n", "has no rows"),
        (line() + b"\nnot json\n", r"base\.jsonl line 3: not JSON"),
        (line().replace(b"1.0", b"NaN"), r"line 1: not JSON"),
        (line(score=1.5), r"line 1: not an eval row: score"),
        (line(passed="yes please"), r"line 1: not an eval row: passed"),
        (b'{"question_id": "q"}\n', r"line 1: not an eval row: targeted: Field required"),
        (line(pased=True), r"line 1: not an eval row: pased: Extra inputs"),
        (b"[1]\n", r"line 1: not an eval row"),
        (line() + b"\n" + line(), r"line 3: question 'q' sample 0 stands already at .*line 1"),
        (line(passed=None, score=None), r"line 1: `passed` is null without"),
        (line(sample=-1), r"line 1: not an eval row: sample"),
        (b"\xff\xfe\n", r"line 1: not JSON"),
    ],
)
def test_faults_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "base.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=message):
        read_rows(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nothing\.jsonl"):
        read_rows(tmp_path / "nothing.jsonl")
