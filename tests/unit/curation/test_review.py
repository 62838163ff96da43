"""The review file, out and in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from runlog_making import open_log, passing, repeated_failures, run

from burnish.curation.review.items import (
    Correction,
    KnownFailure,
    KnownFailures,
    choose_labels,
    known_failures,
    of_no_failure,
    refusal,
    review_items,
)
from burnish.curation.review.reading import ReviewedFile, read_review
from burnish.diagnosis import UNLABELLED, RunCodes, diagnose
from burnish.errors import InvalidInputError
from burnish.jsonl import to_jsonl
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.review import ReviewDecision, ReviewEvent, ReviewState
from burnish.schemas.runlog import ReviewItem

LINES = [
    passing("q1", run_id="r0"),
    run("q1", answer="first wrong", evidence_files=["a.py"]),
    run("q1", answer="second wrong", run_id="r2"),
    run("q2", retrieval_hit=False),
    run("q3", failure_label="wrong-field", answer="wrong field"),
    run("q3", failure_label="not-json", answer="wrong json"),
    run("q4", failure_label=None),
]


def event(question_id: str, label: str, output: str, state: ReviewState = "corrected", **fields: Any) -> ReviewEvent:
    known = {"sequence": 7, "reason": "", "author": "mia", "at": datetime(2026, 11, 29, tzinfo=UTC)} | fields
    return ReviewEvent(question_id=question_id, failure_label=label, output=output, state=state, **known)


def exported(folder: Path, *labels: str, **corrections: ReviewEvent) -> list[tuple[str, str, str, str]]:
    reader, codes = open_log(folder / "log", LINES)
    items = review_items(reader, codes, labels, corrections)
    return [(i.question_id, i.failure_label, i.original_answer, i.corrected_output) for i in items]


def item(question_id: str = "q1", **fields: Any) -> dict[str, Any]:
    base = {"question": "?", "original_answer": "first wrong", "failure_label": "not-json", "corrected_output": "right"}
    return {"question_id": question_id} | base | fields


def imported(folder: Path, *lines: dict[str, Any] | str) -> ReviewedFile:
    reader, codes = open_log(folder / "log", LINES)
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return read_review([text.encode()], known_failures(reader, codes))


def test_one_item_a_question_with_its_first_failing_answer(tmp_path: Path) -> None:
    assert exported(tmp_path, "not-json") == [
        ("q1", "not-json", "first wrong", ""),
        ("q3", "not-json", "wrong json", ""),
    ]


def test_a_question_under_two_chosen_labels_is_one_item(tmp_path: Path) -> None:
    assert exported(tmp_path, "not-json", "wrong-field")[1] == ("q3", "wrong-field", "wrong field", "")


def test_a_standing_correction_is_filled_in(tmp_path: Path) -> None:
    found = exported(tmp_path, "not-json", q1=event("q1", "not-json", "right"))
    assert [corrected for *_, corrected in found] == ["right", ""]


def test_labels_are_checked_and_default_to_the_candidates(tmp_path: Path) -> None:
    lines = [*repeated_failures({"not-json": 5, "rare": 1}), run("x", failure_label=None)]
    reader, codes = open_log(tmp_path, lines)
    found = diagnose("log1", reader, codes)
    assert choose_labels(found, []) == ["not-json"]
    assert choose_labels(found, ["rare"]) == ["rare"]
    for unknown in ("nonsense", UNLABELLED):
        with pytest.raises(InvalidInputError, match="it has not-json, rare"):
            choose_labels(found, [unknown])


def test_corrections_are_read(tmp_path: Path) -> None:
    result = imported(tmp_path, item(), item("q3", corrected_output=" \n"), item("q3", failure_label="wrong-field"))
    assert result.corrections == [Correction("q1", "not-json", "right"), Correction("q3", "wrong-field", "right")]
    assert (result.empty, result.rejected_lines) == (1, [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (item("nobody"), "question_id: 'nobody' has no model-attributed, labelled failure"),
        (item("q2"), "question_id: 'q2' has no model-attributed, labelled failure"),
        (item("q4"), "question_id: 'q4' has no model-attributed, labelled failure"),
        (item("q1", failure_label="wrong-field"), "failure_label: 'q1' failed as not-json, not as 'wrong-field'"),
        (item("q3", failure_label="x"), "failure_label: 'q3' failed as not-json and wrong-field, not as 'x'"),
        (item("q1", corrected_output={"a": 1}), "corrected_output: Input should be a valid string"),
        (item("q1", corrected_output=" first wrong\n"), "corrected_output: the same as the original wrong answer"),
        (item("q1", corrected_output="a\x00b"), "corrected_output: holds a NUL character"),
        (item("q1", note="x"), "note: Extra inputs are not permitted"),
        ("{nonsense", "not JSON"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line: dict[str, Any] | str, reason: str) -> None:
    result = imported(tmp_path, item("q3"), line)
    assert [c.question_id for c in result.corrections] == ["q3"]
    [rejected] = result.rejected_lines
    assert rejected.line_number == 2
    assert reason in rejected.reason


@pytest.mark.parametrize("field", ["question_id", "output", "reason", "failure_label"])
def test_no_decision_holds_a_single_surrogate(field: str) -> None:
    decision = ReviewDecision.model_validate({"question_id": "q1", "state": "flagged"} | {field: "a\ud800b"})
    assert "holds a single surrogate" in (refusal(decision, KnownFailures({})) or "")


def test_an_emptied_correction_is_taken_back_and_one_never_made_is_not(tmp_path: Path) -> None:
    """Two people who fill one export by halves do not take back each other's corrections."""
    reader, codes = open_log(tmp_path / "log", LINES)
    standing = {"q1": event("q1", "not-json", "right")}
    first, other = review_items(reader, codes, ["not-json"], standing)
    emptied = [i.model_copy(update={"corrected_output": " "}) for i in (first, other)]
    result = imported(tmp_path / "back", *(i.model_dump() for i in emptied))
    assert (result.emptied, result.empty, result.corrections) == (["q1"], 2, [])


def test_a_correction_that_the_questions_own_grader_fails_is_refused(tmp_path: Path) -> None:
    grader = {"name": "one_of", "args": {"labels": ["billing", "other"]}}
    graded = {"grader": grader, "expected_answer": "billing"}
    reader, codes = open_log(tmp_path, [run("q1", **graded), run("q2", **graded), run("q3", grader={"name": "gone"})])
    text = "\n".join(
        json.dumps(item(question_id, corrected_output=output))
        for question_id, output in (("q1", "This ticket is about billing, sir."), ("q2", "Billing."), ("q3", "x"))
    )
    result = read_review([text.encode()], known_failures(reader, codes))
    assert [c.question_id for c in result.corrections] == ["q2", "q3"]
    assert [(r.line_number, r.reason.split(" (")[0]) for r in result.rejected_lines] == [
        (1, "corrected_output: the question's own grader, one_of, fails it as not-in-list")
    ]


def test_the_export_has_what_a_reviewer_needs_and_can_fill_in_the_expected_answer(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "?"}]
    lines = [
        run("q1", slice="a", expected_answer="one", system_prompt="Be kind."),
        run("q2", slice="b", expected_answer="two", messages=chat),
        run("q3"),
    ]
    reader, codes = open_log(tmp_path, lines)
    standing = {"q2": event("q2", "not-json", "deux")}
    found = list(review_items(reader, codes, ["not-json"], standing, prefill="expected"))
    assert [(i.slice, i.system_prompt, i.expected_answer, i.corrected_output) for i in found] == [
        ("a", "Be kind.", "one", "one"),
        ("b", "Be short.", "two", "deux"),
        (None, "", "", ""),
    ]
    assert [i.earlier_correction for i in found] == ["", "deux", ""]
    assert [i.question_id for i in review_items(reader, codes, ["not-json"], slices=["b", "(none)"])] == ["q2", "q3"]


def test_two_corrections_of_one_question(tmp_path: Path) -> None:
    same = imported(tmp_path / "same", item(), item())
    assert (len(same.corrections), same.rejected_lines) == (1, [])
    other = imported(tmp_path / "other", item(), item("q3"), item(corrected_output="otherwise"))
    assert [c.question_id for c in other.corrections] == ["q3"]
    assert [(r.line_number, r.reason) for r in other.rejected_lines] == [
        (1, "corrected_output: 'q1' is decided otherwise on line 3; keep one"),
        (3, "corrected_output: 'q1' is decided otherwise on line 1; keep one"),
    ]


def test_states_go_out_and_come_back(tmp_path: Path) -> None:
    """A file that nobody touched decides what stands already; one that was touched decides what its lines say."""
    lines = [run(f"q{n}") for n in range(6)]
    reader, codes = open_log(tmp_path, lines)
    standing = {
        "q0": event("q0", "not-json", "right"),
        "q1": event("q1", "not-json", "expected", "accepted"),
        "q2": event("q2", "not-json", "", "dismissed", reason="the grade is wrong"),
        "q3": event("q3", "not-json", "", "flagged", reason="personal data"),
        "q4": event("q4", "not-json", "", "open"),
    }
    items = list(review_items(reader, codes, ["not-json"], standing))
    assert [(i.state, i.reason, i.author, i.version) for i in items][2:] == [
        ("dismissed", "the grade is wrong", "mia", 7),
        ("flagged", "personal data", "mia", 7),
        ("open", "", "mia", 7),
        ("open", "", "", 0),
    ]
    again = read_back(reader, codes, items)
    assert {d.question_id: (d.state, d.output, d.reason) for d in again.decisions} == {
        q: (e.state, e.output, e.reason) for q, e in standing.items()
    }
    touched = [
        items[2].model_copy(update={"corrected_output": "right after all"}),
        items[3].model_copy(update={"state": "open"}),
        items[5].model_copy(update={"state": "unsure", "reason": "nobody knows"}),
    ]
    decided = read_back(reader, codes, touched).decisions
    assert [(d.question_id, d.state, d.version) for d in decided] == [
        ("q2", "corrected", 7),
        ("q5", "unsure", 0),
        ("q3", "open", 7),
    ]
    only = review_items(reader, codes, ["not-json"], standing, states=["flagged", "dismissed"])
    assert [i.question_id for i in only] == ["q2", "q3"]


ASKED_TWICE = [run("both", slice=name, question=f"Asked of {name}") for name in ("a", "b")]


def test_an_item_names_the_prompt_that_it_shows_and_a_correction_keeps_it(tmp_path: Path) -> None:
    reader, codes = open_log(tmp_path, [*ASKED_TWICE, run("other")])
    [in_a], [in_b] = (list(review_items(reader, codes, ["not-json"], slices=[name])) for name in ("a", "b"))
    assert in_a.prompt_key != in_b.prompt_key
    [decision] = read_back(reader, codes, [in_b.model_copy(update={"corrected_output": "right"})]).decisions
    assert decision.prompt_key == in_b.prompt_key
    standing = {"both": event("both", "not-json", "right", prompt_key=in_b.prompt_key)}
    assert [i.question for i in review_items(reader, codes, ["not-json"], standing)] == ["Asked of b", "What is other?"]
    [elsewhere] = review_items(reader, codes, ["not-json"], standing, slices=["a"])
    assert (elsewhere.question, elsewhere.corrected_output) == ("Asked of a", "right")
    [untouched] = read_back(reader, codes, [elsewhere]).decisions
    assert untouched.prompt_key is None


def test_a_correction_for_a_prompt_that_the_question_did_not_fail_with_is_refused(tmp_path: Path) -> None:
    reader, codes = open_log(tmp_path / "one", [*ASKED_TWICE, passing("both", question="Asked of c")])
    [item] = review_items(reader, codes, ["not-json"])
    other, other_codes = open_log(tmp_path / "two", [run("both", question="Asked of c")])
    [foreign] = review_items(other, other_codes, ["not-json"])
    decided = [
        ReviewDecision(question_id="both", state=state, output=output, prompt_key=key)
        for state, output, key in (
            ("corrected", "x", item.prompt_key),
            ("corrected", "x", None),
            ("dismissed", "", foreign.prompt_key),
            ("corrected", "x", foreign.prompt_key),
        )
    ]
    found = [of_no_failure(reader, codes, [each]) for each in decided]
    assert found[:3] == [{}, {}, {}]
    assert found[3]["both"].startswith("prompt_key: 'both' did not fail with this prompt in this run log")


def test_what_is_set_aside_needs_a_reason(tmp_path: Path) -> None:
    result = imported(
        tmp_path, item(corrected_output="", state="dismissed"), item("q3", corrected_output="", state="x")
    )
    assert result.decisions == []
    reasons = [line.reason for line in result.rejected_lines]
    assert reasons[0] == "reason: say why the item is dismissed"
    assert "state: Input should be 'open', 'corrected'" in reasons[1]


def read_back(reader: RunLogReader, codes: RunCodes, items: list[ReviewItem]) -> ReviewedFile:
    return read_review([to_jsonl(items)], known_failures(reader, codes))


class Counted(KnownFailures):
    """Counts how often all of it is read."""

    reads = 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        self.reads += 1
        return super().__iter__()


def test_labels_are_looked_up_without_reading_every_failure_for_each_question() -> None:
    known = Counted({(f"q{n}", label): KnownFailure("wrong") for n in range(5) for label in ("b", "a")})
    assert [known.labels_of(f"q{n}") for n in (3, 0, 9)] == [["a", "b"], ["a", "b"], []]
    assert known.reads == 1
