"""Which failures are the model's, how they group, and which groups are candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runlog_making import open_log, open_older_log, passing, repeated_failures, run

from burnish.diagnosis import UNLABELLED, check_slices, diagnose
from burnish.errors import InvalidInputError
from burnish.schemas.runlog import Diagnosis, FailureCluster


def diagnosis(folder: Path, lines: list[dict[str, Any]]) -> Diagnosis:
    reader, codes = open_log(folder / "log", lines)
    return diagnose("log1", reader, codes)


def cluster(folder: Path, lines: list[dict[str, Any]], label: str = "not-json") -> FailureCluster:
    return next(c for c in diagnosis(folder, lines).clusters if c.label == label)


def test_counts(tmp_path: Path) -> None:
    lines = [
        *repeated_failures({"not-json": 5, "wrong-field": 1}),
        passing("p1"),
        passing("p2", grade="acceptable", run_id=None),
        run("lost", retrieval_hit=False),
        run("nameless", failure_label=None),
        run("blank", failure_label="  "),
    ]
    found = diagnosis(tmp_path, lines)
    assert (found.run_log_id, found.lines, found.questions, found.runs) == ("log1", 17, 11, 2)
    assert (found.passing, found.failing) == (2, 15)
    assert (found.model_attributed, found.retrieval_failures, found.unlabelled) == (14, 1, 2)
    assert [(c.label, c.size, c.candidate) for c in found.clusters] == [
        ("not-json", 10, True),
        (UNLABELLED, 2, False),
        ("wrong-field", 2, False),
    ]
    assert found.clusters[0].share_of_failures == pytest.approx(10 / 15)


def test_unknown_retrieval_is_the_models_and_said(tmp_path: Path) -> None:
    lines = [
        run("q1", retrieval_hit=None),
        run("q2", retrieval_hit="miss"),
        run("q3"),
        passing("q4", retrieval_hit=None),
    ]
    found = diagnosis(tmp_path, lines)
    assert (found.model_attributed, found.retrieval_failures, found.retrieval_unknown) == (2, 1, 1)


def test_no_grade_and_unknown_grades_of_older_logs_are_no_failures(tmp_path: Path) -> None:
    lines = [
        *repeated_failures({"not-json": 5}),
        run("ungraded", grade=None),
        run("odd-1", grade="meh"),
        run("odd-2", grade="meh"),
        run("odd-3", grade="B+"),
        run("case", grade=" Wrong"),
        passing("fine", grade="Correct"),
    ]
    log, codes = open_older_log(tmp_path, lines)
    found = diagnose("log1", log, codes)
    assert (found.lines, found.passing, found.failing, found.model_attributed) == (16, 1, 11, 11)
    assert (found.ungraded, found.unknown_grades) == (1, {"meh": 2, "B+": 1})


def test_a_diagnosis_of_some_slices(tmp_path: Path) -> None:
    lines = [run("q1", slice="a"), run("q2", slice="b"), run("q3", slice=None), passing("q4", slice="a", run_id="r2")]
    reader, codes = open_log(tmp_path / "log", lines)
    found = diagnose("log1", reader, codes, ["a", "(none)"])
    assert (found.lines, found.questions, found.runs, found.passing, found.failing) == (3, 3, 2, 1, 2)
    assert [(c.label, c.size, c.slices) for c in found.clusters] == [("not-json", 2, {"(none)": 1, "a": 1})]
    with pytest.raises(InvalidInputError, match=r"no run has the slice 'c'; this run log has \(none\), a, b"):
        check_slices(codes, ["c"])


def test_a_cluster_has_its_runs_repeats_slices_and_examples(tmp_path: Path) -> None:
    lines = [
        run("q1", slice="json", expected_answer="right"),
        run("q1", slice="json", run_id="r2"),
        run("q2", slice="json"),
        run("q3", slice=None, run_id="r3"),
        run("q4", slice="text"),
    ]
    found = cluster(tmp_path, lines)
    assert (found.size, found.questions, found.runs) == (5, 4, 3)
    assert (found.asked_again, found.repeated_questions) == (1, 1)
    assert found.slices == {"json": 3, "(none)": 1, "text": 1}
    assert [(e["line_number"], e["question_id"], e["expected_answer"]) for e in found.examples] == [
        (1, "q1", "right"),
        (3, "q2", None),
        (4, "q3", None),
    ]


def asked(
    questions: int, *, failed_in: int, asked_in: int, first: int = 0, run_ids: bool = True
) -> list[dict[str, Any]]:
    """Questions that fail in their first runs and pass in the others."""
    return [
        (run if r < failed_in else passing)(f"q{first + n}", run_id=f"r{r}" if run_ids else None)
        for n in range(questions)
        for r in range(asked_in)
    ]


@pytest.mark.parametrize(
    ("lines", "why_not"),
    [
        (repeated_failures({"not-json": 5}), None),
        (repeated_failures({"not-json": 4}), "Only 4 distinct questions fail this way"),
        (repeated_failures({"not-json": 1}), "Only 1 distinct question fails this way"),
        (asked(5, failed_in=1, asked_in=1), None),  # as production traffic is: nobody asks again
        (asked(5, failed_in=1, asked_in=1, run_ids=False), None),
        ([*asked(6, failed_in=1, asked_in=1), *asked(2, failed_in=1, asked_in=2, first=6)], None),
        (asked(6, failed_in=1, asked_in=2), "6 of its 6 questions were asked again, and none failed this way twice"),
        (asked(6, failed_in=1, asked_in=2, run_ids=False), "6 of its 6 questions were asked again"),
        ([*asked(3, failed_in=1, asked_in=1), *asked(3, failed_in=1, asked_in=2, first=3)], "3 of its 6 questions"),
        ([*asked(5, failed_in=1, asked_in=2), *asked(1, failed_in=2, asked_in=2, first=5)], None),
        ([run(f"q{n % 5}", run_id="r1") for n in range(10)], None),  # lines of one run are one asking
    ],
)
def test_candidates(tmp_path: Path, lines: list[dict[str, Any]], why_not: str | None) -> None:
    found = cluster(tmp_path, lines)
    assert found.candidate is (why_not is None)
    assert (found.why_not is None) if why_not is None else (found.why_not is not None and why_not in found.why_not)


def test_unlabelled_failures_say_how_to_label(tmp_path: Path) -> None:
    found = cluster(tmp_path, [run(f"q{n}", failure_label=None) for n in range(9)], UNLABELLED)
    assert not found.candidate
    assert found.why_not is not None
    assert "failure_label" in found.why_not


def test_a_log_without_failures_has_no_cluster(tmp_path: Path) -> None:
    found = diagnosis(tmp_path, [passing("p1"), passing("p2")])
    assert (found.failing, found.clusters) == (0, [])


def test_equal_sizes_are_in_order_of_label(tmp_path: Path) -> None:
    found = diagnosis(tmp_path, repeated_failures({"b": 2, "c": 3, "a": 2}))
    assert [c.label for c in found.clusters] == ["c", "a", "b"]
