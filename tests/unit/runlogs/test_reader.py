"""Rows and columns read back from parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runlog_making import jsonl, run

from burnish.runlogs.ingestion import Limits, ingest
from burnish.runlogs.reader import RunLogReader


@pytest.fixture
def log(tmp_path: Path) -> RunLogReader:
    """Ten rows over two parts and three row groups; even rows are labelled a, odd ones b, the last two not at all."""
    labels = [*["a", "b"] * 4, None, None]
    lines = [run(f"q{n}", failure_label=label, grade="poor" if n < 5 else "wrong") for n, label in enumerate(labels)]
    result = ingest([jsonl(lines)], tmp_path, Limits(batch_lines=4, part_lines=8))
    return RunLogReader([tmp_path / entry.path for entry in result.files])


def test_finds_rows_by_label_and_grade(log: RunLogReader) -> None:
    assert log.find().tolist() == list(range(10))
    assert log.find(failure_label=["a"]).tolist() == [0, 2, 4, 6]
    assert log.find(grade=["wrong"]).tolist() == [5, 6, 7, 8, 9]
    assert log.find(failure_label=["a"], grade=["wrong"]).tolist() == [6]
    assert log.find(failure_label=["nothing"]).tolist() == []


def test_reads_rows_across_parts_once_and_in_order(log: RunLogReader) -> None:
    assert [line.question_id for line in log.lines([9, 0, 4, 7, 8, 0])] == ["q0", "q4", "q7", "q8", "q9"]
    assert log.table(np.array([3, 8]), ["question_id"]).to_pylist() == [{"question_id": "q3"}, {"question_id": "q8"}]


def test_no_rows_is_an_empty_table(log: RunLogReader) -> None:
    assert list(log.lines([])) == []
    assert log.table([], ["question_id", "grade"]).column_names == ["question_id", "grade"]


def test_a_row_outside_the_log_is_refused(log: RunLogReader) -> None:
    with pytest.raises(IndexError):
        list(log.lines([10]))


def test_columns_cover_all_parts(log: RunLogReader) -> None:
    table = log.columns(["failure_label", "question_id"])
    assert table.column_names == ["failure_label", "question_id"]
    assert table["question_id"].to_pylist() == [f"q{n}" for n in range(10)]
