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
from burnish.runlogs.prompts import is_plain, prompt_messages
from burnish.runlogs.reader import RunLogReader
from burnish.runlogs.storage import files_of
from burnish.schemas.runlog import GradedBy, RunLogLine


def into(folder: Path, *chunks: bytes, limits: Limits | None = None, grades: dict[str, str] | None = None) -> Ingested:
    folder.mkdir()
    return ingest(chunks, folder, limits or Limits(), grades)


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
    lines = [run("q1", grade=None), run("q2", grade="Ungraded"), run("q3", grade=True), run("q4", grade=False)]
    result = into(tmp_path / "spool", jsonl(lines))
    assert (result.accepted, result.grades) == (4, {"(none)": 2, "correct": 1, "incorrect": 1})
    assert [line.grade for line in rows(result)] == [None, None, "correct", "incorrect"]


def test_an_unknown_grade_is_asked_about(tmp_path: Path) -> None:
    lines = jsonl([run("q1", grade="Odd"), run("q2", grade="odd"), run("q3", grade="n/a"), run("q4", grade=1)])
    with pytest.raises(InvalidInputError, match=r"'Odd' \(1 lines\).*'1' \(1 lines\).*--grade Odd=…") as caught:
        into(tmp_path / "refused", lines)
    assert json.loads(caught.value.metadata["words"]) == ["Odd", "odd", "n/a", "1"]
    with pytest.raises(InvalidInputError, match="'excellent' is no known grade"):
        into(tmp_path / "unknown", lines, grades={"odd": "excellent"})
    said = {"ODD": "correct", "n/a": "ungraded", "1": "incorrect"}
    result = into(tmp_path / "spool", lines, grades=said)
    assert [line.grade for line in rows(result)] == ["correct", "correct", None, "incorrect"]
    other = into(tmp_path / "other", lines, grades=said | {"odd": "wrong"})
    assert other.id != result.id, "what the words mean is part of the run log"


def test_a_line_holds_what_applications_log(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"id": 7}'}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}}
    line = run(
        7,
        run_id="3f0c9e1c-6b7e-4d0e-9a59-0f2d4f8b7b11",
        answer=None,
        retrieval_hit="unknown",
        timestamp=1732867200123,
        user_id=42,
        trace_id="t1",
        finish_reason="tool_calls",
        tool_calls=[call],
        feedback=[{"name": "thumbs", "value": False}],
        graded_by={"source": "human", "rule": "thumbs:false=incorrect", "confidence": 0.5},
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ],
    )
    [kept] = rows(into(tmp_path / "spool", jsonl([line])))
    assert (kept.question_id, kept.answer, kept.retrieval_hit, kept.user_id) == ("7", "", None, "42")
    assert (kept.timestamp, kept.finish_reason) == ("2024-11-29T08:00:00.123000+00:00", "tool_calls")
    assert (kept.tool_calls, kept.feedback) == ([call], [{"name": "thumbs", "value": False}])
    assert kept.graded_by == GradedBy(source="human", rule="thumbs:false=incorrect", confidence=0.5)
    _, user, assistant, tool = kept.messages or []
    assert user.content[0] == {"type": "text", "text": "What is this?"}
    assert user.content[1]["image_url"]["url"].startswith("sha256:"), "data is kept by its digest"
    assert (assistant.tool_calls, tool.tool_call_id) == ([call], "c1")
    assert [(m.role, m.content) for m in prompt_messages(kept)] == [
        ("system", "Be brief."),
        ("user", "What is this?\n[image_url]"),
        ("assistant", '{"name":"look_up","arguments":"{\\"id\\": 7}"}'),
        ("tool", "a cat"),
    ]
    assert not is_plain(kept)


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
    assert [entry.sha256 for entry in whole.files] == [entry.sha256 for entry in pieces.files]
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


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, min_size=1, max_size=5))
def test_lines_come_back_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]]) -> None:
    whole = [run() | line for line in lines]
    reader, _ = open_log(tmp_path_factory.mktemp("log"), whole)
    assert list(reader.lines(range(reader.rows))) == [RunLogLine.model_validate(line) for line in whole]
