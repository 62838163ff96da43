"""Which clusters the demo trains on, and the review file that it fills."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.errors import InvalidInputError, PreconditionError
from burnish.jsonl import to_jsonl
from burnish.schemas.runlog import Diagnosis, FailureCluster, ReviewItem
from burnish_client.demo.targets import choose_target, fill_review_file


def cluster(label: str, size: int, slices: dict[str, int], why_not: str | None = None) -> FailureCluster:
    return FailureCluster(
        label=label,
        size=size,
        questions=size // 2,
        runs=2,
        repeated_questions=size // 2,
        share_of_failures=0.1,
        slices=slices,
        candidate=why_not is None,
        why_not=why_not,
    )


def diagnosis(*clusters: FailureCluster) -> Diagnosis:
    failing = sum(c.size for c in clusters)
    return Diagnosis(
        run_log_id="r",
        lines=2 * failing,
        questions=failing,
        runs=2,
        passing=failing,
        failing=failing,
        model_attributed=failing,
        retrieval_failures=0,
        unlabelled=0,
        clusters=list(clusters),
    )


def test_the_kind_that_fails_most_leads_and_labels_of_it_alone_join_it():
    target = choose_target(
        diagnosis(
            cluster("too-rare", 90, {"json": 90}, why_not="It does not repeat."),
            cluster("not-json", 80, {"json": 78, "names": 2}),
            cluster("text-missing", 130, {"names": 70, "classes": 60}),
            cluster("cut-off", 20, {"json": 20}),
            cluster("both", 12, {"json": 6, "names": 6}),
            cluster("few", 4, {"json": 4}, why_not="Only 2 questions."),
        )
    )
    assert target.labels == ["not-json", "cut-off"]
    assert target.slice == "json"
    assert "json, which fails most often, as not-json" in target.sentence
    assert "cut-off" in target.sentence


def test_another_log_gives_another_target():
    target = choose_target(diagnosis(cluster("low-overlap", 30, {"docs": 30}), cluster("not-json", 20, {"json": 20})))
    assert (target.labels, target.slice) == (["low-overlap"], "docs")
    assert "with it" not in target.sentence


def test_without_a_candidate_the_reasons_are_told():
    with pytest.raises(PreconditionError, match=r"rare: Only 2 questions\."):
        choose_target(diagnosis(cluster("rare", 4, {"json": 4}, why_not="Only 2 questions.")))
    with pytest.raises(PreconditionError, match="nothing failed"):
        choose_target(diagnosis())


def item(question_id: str) -> ReviewItem:
    return ReviewItem(question_id=question_id, question="?", original_answer="no", failure_label="not-json")


def test_the_review_file_is_filled_in_place_and_nothing_else_in_it_changes(tmp_path: Path):
    path, items = tmp_path / "review.jsonl", [item("a"), item("b")]
    path.write_bytes(to_jsonl(items))
    assert fill_review_file(path, {"a": "one", "b": "two", "c": "three"}) == 2
    filled = [ReviewItem.model_validate_json(line) for line in path.read_text().splitlines()]
    assert [i.corrected_output for i in filled] == ["one", "two"]
    assert [i.model_copy(update={"corrected_output": ""}) for i in filled] == items


def test_a_question_without_a_known_good_answer_is_refused_and_the_file_stays(tmp_path: Path):
    path = tmp_path / "review.jsonl"
    path.write_bytes(to_jsonl([item("a"), item("x")]))
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="'x' is not in the benchmark"):
        fill_review_file(path, {"a": "one"})
    assert path.read_bytes() == before
