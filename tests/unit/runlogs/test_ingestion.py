"""Streaming ingest: what goes in comes out of the parts, or stands in the rejects with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runlog_making import jsonl, open_log, run

from burnish.errors import InvalidInputError
from burnish.runlogs.ingestion import Ingested, Limits, ingest
from burnish.runlogs.reader import RunLogReader
from burnish.runlogs.storage import files_of
from burnish.schemas.runlog import RunLogLine


def into(folder: Path, *chunks: bytes, limits: Limits | None = None) -> Ingested:
    folder.mkdir()
    return ingest(chunks, folder, limits or Limits())


def rows(result: Ingested) -> list[RunLogLine]:
    reader = RunLogReader([result.spool / entry.path for entry in files_of(result.manifest("x")).parts])
    return list(reader.lines(range(reader.rows)))


def test_good_lines_are_kept_and_bad_ones_reported(tmp_path: Path) -> None:
    good = [run("q1"), run("q2", grade="correct", tenant="a", cost=[1, {"x": None}])]
    data = jsonl(good[:1]) + b"\n{broken\n" + jsonl(good[1:]) + b'{"question_id": "q3"}'
    result = into(tmp_path / "spool", data)
    assert (result.lines, result.accepted, result.rejected, result.size_bytes) == (4, 2, 2, len(data))
    assert result.grades == {"correct": 1, "wrong": 1}
    assert rows(result) == [RunLogLine.model_validate(line) for line in good]
    assert [(r.line_number, r.excerpt) for r in result.rejected_lines] == [(3, "{broken"), (5, '{"question_id": "q3"}')]
    assert result.rejected_lines[1].reason.startswith("question: Field required")


def test_a_line_without_a_grade_is_kept(tmp_path: Path) -> None:
    result = into(tmp_path / "spool", jsonl([run("q1", grade=None), run("q2", grade="odd")]))
    assert (result.accepted, result.grades) == (2, {"(none)": 1, "odd": 1})
    assert [line.grade for line in rows(result)] == [None, "odd"]


def test_every_reject_is_on_file_and_the_first_hundred_in_the_manifest(tmp_path: Path) -> None:
    result = into(tmp_path / "spool", jsonl([run()]) + b"nonsense\n" * 150)
    manifest = result.manifest("x")
    rejected = files_of(manifest).rejected
    assert rejected is not None
    on_file = [json.loads(line) for line in (tmp_path / "spool" / rejected.path).read_text().splitlines()]
    assert [r["line_number"] for r in on_file] == list(range(2, 152))
    assert [r.line_number for r in manifest.rejected_lines] == list(range(2, 102))


def test_the_id_is_of_the_accepted_lines(tmp_path: Path) -> None:
    lines = [run("q1"), run("q2")]
    plain = into(tmp_path / "a", jsonl(lines))
    noisy = into(tmp_path / "b", b"\xef\xbb\xbf\n" + jsonl(lines).replace(b"\n", b"\r\n\r\n") + b"bad line")
    swapped = into(tmp_path / "c", jsonl(lines[::-1]))
    assert plain.id == noisy.id
    assert plain.id != swapped.id


def test_parts_are_cut_and_numbered_whatever_the_chunks(tmp_path: Path) -> None:
    """Small limits, so that three row groups and two parts come of ten lines; chunk borders do not show in the files."""
    small = Limits(batch_lines=4, part_lines=8)
    data = jsonl(run(f"q{n}") for n in range(10))
    whole = into(tmp_path / "a", data, limits=small)
    pieces = into(tmp_path / "b", *(data[start : start + 7] for start in range(0, len(data), 7)), limits=small)
    assert whole.files == pieces.files
    assert [pq.read_metadata(tmp_path / "a" / entry.path).num_rows for entry in whole.files] == [8, 2]
    assert [line.question_id for line in rows(whole)] == [f"q{n}" for n in range(10)]


def test_long_lines_make_small_row_groups(tmp_path: Path) -> None:
    long = jsonl(run(f"q{n}", evidence_text="x" * 600) for n in range(6))
    result = into(tmp_path / "spool", long, limits=Limits(batch_bytes=1000))
    assert pq.read_metadata(tmp_path / "spool" / result.files[0].path).num_row_groups == 3


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "the file is empty"),
        (b"\n \r\n", "the file is empty"),
        (b"a\nb\nc\nd\n", r"none of the 4 lines .* line 1: not JSON.*; line 2: not JSON.*; line 3: not JSON"),
    ],
)
def test_a_file_with_no_good_line_is_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        into(tmp_path / "spool", data)


def test_a_line_over_the_limit_is_rejected_and_the_rest_is_kept(tmp_path: Path) -> None:
    long = json.dumps(run("q1", answer="x" * (17 * 1024 * 1024))).encode()
    result = into(tmp_path / "spool", long[:100], long[100:] + b"\n", jsonl([run("q2")]))
    assert [(r.line_number, r.reason, len(r.excerpt)) for r in result.rejected_lines] == [
        (1, "longer than 16 MiB", 200)
    ]
    assert [line.question_id for line in rows(result)] == ["q2"]


TEXT = st.text(max_size=20)
OPTIONAL = st.none() | TEXT
LINES = st.fixed_dictionaries(
    {"question_id": st.text(min_size=1, max_size=5), "answer": TEXT, "retrieval_hit": st.booleans()},
    optional={
        "system_prompt": TEXT,
        "evidence_files": st.lists(TEXT, max_size=3),
        "failure_label": OPTIONAL,
        "run_id": OPTIONAL,
        "messages": st.none() | st.just([{"role": "user", "content": "x"}]),
        "latency_ms": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "extra": st.integers() | st.dictionaries(TEXT, st.integers() | TEXT, max_size=2),
        "line_number": st.integers(),
    },
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, min_size=1, max_size=5))
def test_lines_come_back_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]]) -> None:
    whole = [run() | line for line in lines]
    reader, _ = open_log(tmp_path_factory.mktemp("log"), whole)
    assert list(reader.lines(range(reader.rows))) == [RunLogLine.model_validate(line) for line in whole]
