"""The order of review."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runlog_making import open_log, open_older_log, passing, run

from burnish.curation.review.queue import queue_rows


def order(folder: Path, lines: list[dict[str, Any]], *labels: str, slices: tuple[str, ...] = ()) -> list[str]:
    reader, codes = open_log(folder, lines)
    return [codes.questions[codes.question_R[row]] for row in queue_rows(reader, codes, labels or codes.labels, slices)]


def by(source: str, confidence: float | None = None) -> dict[str, Any]:
    return {"graded_by": {"source": source} | ({"confidence": confidence} if confidence is not None else {})}


def test_one_of_each_kind_comes_first_the_largest_before_the_others(tmp_path: Path) -> None:
    lines = [
        run("a1", failure_label="rare"),
        *(run(f"b{n}", failure_label="often", slice="x") for n in range(3)),
        *(run(f"c{n}", failure_label="often", slice="y") for n in range(2)),
        passing("fine"),
        run("a1", failure_label="rare", run_id="r2"),
    ]
    assert order(tmp_path / "all", lines) == ["b0", "c0", "a1", "b1", "b2", "c1"]
    assert order(tmp_path / "one", lines, "often", slices=("y",)) == ["c0", "c1"]
    assert order(tmp_path / "none", [passing("fine")]) == []


def test_then_those_whose_grader_was_unsure(tmp_path: Path) -> None:
    lines = [
        run("first"),
        run("plain"),
        run("person", **by("human")),
        run("judged", **by("model")),
        run("sure", **by("model", 0.95)),
        run("guess", **by("model", 0.2)),
    ]
    assert order(tmp_path, lines) == ["first", "guess", "judged", "sure", "plain", "person"]


def test_a_log_of_an_earlier_version_is_in_its_own_order(tmp_path: Path) -> None:
    reader, codes = open_older_log(tmp_path, [run("a"), run("b"), run("c")])
    assert queue_rows(reader, codes, codes.labels).tolist() == [0, 1, 2]
