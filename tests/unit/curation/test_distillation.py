"""`--source teacher`: which answers of a teacher a dataset takes, what it says of them, and that one that failed is never among them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from runlog_making import open_log
from unit.curation.gates.making import build, corrected, failures, left_out, prose, question, rows, run

from burnish.curation.lengths import CharacterLengths
from burnish.curation.output.exports import parse_rows
from burnish.curation.output.sealing import without_rows
from burnish.curation.review.items import Prefill, known_failures, review_items
from burnish.curation.review.reading import read_review
from burnish.errors import PreconditionError
from burnish.runlogs.prompts import prompt_messages
from burnish.schemas.base import message_key
from burnish.schemas.review import SuggestionGrade, TeacherSuggestion
from burnish.schemas.runlog import ReviewItem, RunLogLine

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
TEACHER = "big at api.example.org"
EACH = {"held_out_share": 0.01, "validation_share": 0.0}


def suggested(
    line: dict[str, Any], text: str | None = None, grade: SuggestionGrade = "passed", **fields: Any
) -> TeacherSuggestion:
    key = message_key(prompt_messages(RunLogLine.model_validate(line)))
    known = {
        "question_id": line["question_id"], "failure_label": line["failure_label"], "prompt_key": key, "model": "big",
        "host": "api.example.org", "text": text or f"taught {line['question_id']}", "grade": grade, "at": NOON,
    }  # fmt: skip
    return TeacherSuggestion.model_validate(known | fields)


def all_suggested(lines: list[dict[str, Any]], **fields: Any) -> dict[str, list[TeacherSuggestion]]:
    return {line["question_id"]: [suggested(line, **fields)] for line in lines}


def answers(built: Any) -> dict[str, str]:
    return {row["question_id"]: row["completion"][0]["content"] for row in rows(built)}


def test_people_alone_are_the_default(tmp_path: Path) -> None:
    lines = failures(8)
    given = corrected(lines[:4])
    built = build(tmp_path, lines, given, suggestions=all_suggested(lines))
    assert not any("taught" in answer for answer in answers(built).values())
    [origin] = built.manifest.origins
    assert (origin.kind, origin.teacher, set(origin.questions)) == ("corrected", None, set(answers(built)))
    assert built.manifest.counts.discarded["no correction"] == 4


def test_a_teacher_answers_what_nobody_has_decided(tmp_path: Path) -> None:
    lines = failures(12)
    suggestions = all_suggested(lines)
    given = corrected(lines[:3], q01="taught q01")
    del suggestions["q11"]  # a person has set it aside, so the service hands none over
    built = build(tmp_path, lines, given, suggestions=suggestions, source="teacher", **EACH)
    found = answers(built)
    assert all(found[q] == f"taught {q}" for q in found if q not in given)
    assert "q11" not in found
    assert {q: found[q] for q in given if q in found} == {q: given[q].corrected_output for q in given if q in found}
    origins = {(each.kind, each.teacher): set(each.questions) for each in built.manifest.origins}
    trained = {*built.manifest.split.train, *built.manifest.split.validation}
    assert set().union(*origins.values()) == trained
    assert origins["grader-verified", TEACHER] == trained - set(given)
    assert origins.get(("corrected", TEACHER), set()) == {"q01"} & trained, "word for word the teacher's"
    counts = built.manifest.counts
    assert counts.provenance["a teacher's answer that a grader passed"] == len(trained - set(given))
    assert counts.grader_verified == len(trained - set(given))
    assert sum(counts.provenance.values()) == counts.train + counts.validation
    [warning] = [w for w in built.manifest.warnings if "teacher's" in w]
    assert warning.startswith(f"{len(trained - set(given))} of {len(trained)} corrections are a teacher's ({TEACHER})")
    assert "a grader passed all of them" in warning
    card = built.files["README.md"].decode()
    assert f"grader-verified {len(trained - set(given))} ({TEACHER})" in card


def test_a_set_of_few_teachers_answers_is_not_warned_of(tmp_path: Path) -> None:
    lines = failures(12)
    built = build(tmp_path, lines, corrected(lines[:10]), suggestions=all_suggested(lines), source="teacher", **EACH)
    assert any(each.kind == "grader-verified" for each in built.manifest.origins)
    assert not [w for w in built.manifest.warnings if "teacher" in w]


@pytest.mark.parametrize("take_ungraded", [False, True])
def test_what_failed_is_never_taken_and_ungraded_ones_by_an_option(tmp_path: Path, take_ungraded: bool) -> None:
    lines = failures(9)
    suggestions = {
        "q00": [suggested(lines[0])],
        "q01": [suggested(lines[1], grade="failed")],
        "q02": [suggested(lines[2], grade="ungraded")],
        "q03": [suggested(lines[3], prompt_key="0" * 64)],
        "q04": [suggested(lines[4], text=" wrong answer")],
        "q05": [suggested(lines[5], "old"), suggested(lines[5], "new", at=NOON + timedelta(hours=1))],
        "q06": [suggested(lines[6], "newest", "ungraded", at=NOON + timedelta(hours=2)), suggested(lines[6], "proven")],
        "q07": [
            suggested(lines[7], "fails here", "passed"),
            suggested(lines[7], "right q07", "ungraded", model="other"),
        ],
    }
    benchmark = [question("q07", lines[7]["question"])]
    spec: dict[str, Any] = {"source": "teacher", "take_ungraded": take_ungraded, **EACH}
    built = build(tmp_path, lines, {}, benchmark, suggestions=suggestions, **spec)
    taken = {*built.manifest.split.targeted}
    assert taken == {"q00", "q05", "q06", "q07"} | ({"q02"} if take_ungraded else set())
    found = answers(built)
    assert found.get("q05", "new") == "new"
    assert found.get("q06", "proven") == "proven"
    assert found.get("q07", "right q07") == "right q07", "the benchmark's grader goes before what was said when it came"
    reasons = {line.question_id: line.reason for line in left_out(built)}
    assert "a grader fails" in reasons["q01"]
    assert "another prompt" in reasons["q03"]
    assert "a grader fails" in reasons["q04"]
    assert reasons["q08"] == "no correction"
    if take_ungraded:
        ungraded = [each for each in built.manifest.origins if each.kind == "teacher"]
        assert [each.questions for each in ungraded] == ([["q02"]] if "q02" in found else [])
    else:
        assert "nothing has graded" in reasons["q02"]


def test_one_prompt_has_one_teachers_answer_and_a_persons_before_it(tmp_path: Path) -> None:
    lines = [*failures(4), run("twin", question=prose(0)), run("own", question=prose(1))]
    suggestions = all_suggested(lines)
    given = corrected([lines[1]])
    built = build(tmp_path, lines, given, suggestions=suggestions, source="teacher", **EACH)
    assert {q: a for q, a in answers(built).items() if q in ("q00", "q01", "twin", "own")}.items() <= {
        "q00": "taught q00", "q01": "right q01"
    }.items()  # fmt: skip
    reasons = {line.question_id: line.reason for line in left_out(built)}
    assert reasons["twin"].startswith("duplicate")
    assert reasons["own"].startswith("duplicate")


def test_nothing_to_take_says_what_comes_first(tmp_path: Path) -> None:
    lines = failures(3)
    with pytest.raises(PreconditionError, match=r"burnish review suggest log1 --label 'not-json' --model URL#NAME"):
        build(tmp_path, lines, {}, suggestions=all_suggested(lines, grade="ungraded"), source="teacher")


def test_the_gates_apply_to_a_teachers_answer(tmp_path: Path) -> None:
    lines = failures(6)
    suggestions = all_suggested(lines) | {
        "q05": [suggested(lines[5], "the key is sk-proj-Ab3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zAb3dE6gH9jK2")]
    }
    built = build(tmp_path, lines, {}, suggestions=suggestions, source="teacher", **EACH)
    assert "q05" not in answers(built)
    all_taught = next(w for w in built.manifest.warnings if "teacher's" in w)
    assert all_taught.startswith("All ")


def test_a_version_of_fewer_rows_says_who_is_behind_those(tmp_path: Path) -> None:
    lines = failures(10)
    built = build(tmp_path, lines, corrected(lines[:3]), suggestions=all_suggested(lines), source="teacher", **EACH)
    train = list(parse_rows(built.files["train.jsonl"], "sft"))
    gone = {row.question_id for row in train if row.question_id.startswith("q0") and row.question_id < "q03"}
    kept = [row for row in train if row.question_id not in gone]
    less = without_rows(built.manifest, (kept, []), built.files["left-out.jsonl"], gone, CharacterLengths())
    assert [each.kind for each in less.manifest.origins] == ["grader-verified"]
    assert less.manifest.origins[0].questions == sorted(row.question_id for row in kept)


def test_a_review_file_is_filled_with_what_has_not_failed(tmp_path: Path) -> None:
    lines = failures(4)
    grades: tuple[SuggestionGrade, ...] = ("passed", "ungraded", "failed")
    given = {f"q{n:02d}": [suggested(lines[n], grade=grade)] for n, grade in enumerate(grades)}
    given["q03"] = [suggested(lines[3], prompt_key="0" * 64)]
    reader, codes = open_log(tmp_path / "log", lines)

    def filled(prefill: Prefill | None) -> list[ReviewItem]:
        return list(review_items(reader, codes, ["not-json"], prefill=prefill, suggestions=given))

    assert [item.corrected_output for item in filled("suggestion")] == ["taught q00", "", "", ""]
    items = filled("any-suggestion")
    assert [item.corrected_output for item in items] == ["taught q00", "taught q01", "", ""]
    assert [item.suggestion for item in filled(None)] == ["taught q00", "taught q01", "taught q02", ""]
    assert [item.suggestion_grade for item in items] == [*grades, None]
    edited = items[1].model_copy(update={"corrected_output": "taught q01, and more"})
    body = [item.model_dump_json().encode() + b"\n" for item in (items[0], edited)]
    decided = read_review(body, known_failures(reader, codes)).decisions
    assert [(each.question_id, each.state) for each in decided] == [("q00", "accepted"), ("q01", "corrected")]
