"""A benchmark drafted from a run log: whose answer each question gets, which stay open, and by what they are graded."""

from __future__ import annotations

import json
from typing import Any

from runlog_making import passing, run

from burnish.curation.benchmarks.building import build_benchmark
from burnish.curation.benchmarks.drafting import Draft, Origin, draft_benchmark
from burnish.jsonl import to_jsonl
from burnish.runlogs.prompts import prompt_messages
from burnish.schemas.base import message_key
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.runlog import ReviewItem, RunLogLine


def line(made: dict[str, Any]) -> RunLogLine:
    return RunLogLine.model_validate(made)


def item(question_id: str, text: str, prompt_key: str | None = None) -> ReviewItem:
    return ReviewItem(
        question_id=question_id,
        question="?",
        original_answer="wrong answer",
        failure_label="not-json",
        corrected_output=text,
        prompt_key=prompt_key,
    )


def draft(*made: dict[str, Any], reviewed: tuple[ReviewItem, ...] = (), trained: tuple[str, ...] = ()) -> Draft:
    return draft_benchmark(map(line, made), {each.question_id: each for each in reviewed}, trained)


def only(found: Draft, grader: GraderSpec | None = None) -> BenchmarkQuestion:
    [question] = found.questions(grader)
    return question


def test_a_reviewers_answer_goes_before_the_logs_and_that_before_a_run_that_passed() -> None:
    failed, passed = run("q"), passing("q")
    assert only(draft(failed)).expected_answer == ""
    assert only(draft(failed, passed)).expected_answer == "right q"
    expected = run("q", expected_answer="expected")
    assert only(draft(passed, expected)).expected_answer == "expected"
    found = draft(passed, expected, reviewed=(item("q", "corrected"),))
    assert (only(found).expected_answer, only(found).extra) == ("corrected", {"answer_from": "reviewed"})
    assert found.origins == {Origin.REVIEWED: 1}


def test_a_correction_counts_for_the_prompt_that_it_was_written_for() -> None:
    short, long = run("q", system_prompt="Be short."), run("q", system_prompt="Be long.")
    key = message_key(prompt_messages(line(long)))
    question = only(draft(short, long, reviewed=(item("q", "corrected", key),)))
    assert question.expected_answer == "corrected"
    assert [message.content for message in question.prompt_messages()] == ["Be long.", "What is q?"]
    nowhere = only(draft(short, reviewed=(item("q", "corrected", key),)))
    assert nowhere.expected_answer == ""


def test_open_questions_come_first_and_not_those_that_are_trained_on() -> None:
    found = draft(passing("q1"), run("q2"), run("q3"), passing("q4"), trained=("q3", "q4"))
    assert [(each.question_id, each.expected_answer) for each in found.questions()] == [
        ("q2", ""),
        ("q1", "right q1"),
        ("q4", "right q4"),
    ]
    assert found.left_out == {"open, and trained on": 1}


def test_what_cannot_be_asked_or_is_not_known_is_left_out_with_the_reason() -> None:
    called = run("q1", tool_calls=[{"function": {"name": "f"}}], answer="", grade="correct")
    whole = passing("q2", messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    found = draft(called, whole, run("q3", grade=None), run("q4", grade=None), passing("q4"))
    assert [each.question_id for each in found.questions()] == ["q4"]
    assert found.left_out == {
        "asked with tool calls, images or files": 2,
        "neither graded nor with an expected answer": 1,
    }


def test_json_is_compared_field_by_field_and_other_answers_are_looked_for() -> None:
    assert only(draft(passing("q", answer='{"a": 1}'))).grader.name == "json_fields"
    assert only(draft(passing("q", answer="[1]"))).grader.name == "contains"
    assert only(draft(run("q", system_prompt="Answer with one JSON object."))).grader.name == "json_fields"
    exact = GraderSpec(name="exact")
    assert only(draft(passing("q")), exact).grader == exact
    own = passing("q", expected_answer="7", grader={"name": "number", "args": {"tolerance": 1}})
    assert only(draft(own), exact).grader == GraderSpec(name="number", args={"tolerance": 1})


def test_a_draft_without_open_questions_is_a_benchmark() -> None:
    found = draft(passing("q1", slice="a", evidence_text="e"), run("q2", expected_answer='{"a": 1}'))
    built = build_benchmark([to_jsonl(found.questions(), exclude_none=True)], "b")
    assert built.manifest.slices == {"a": 1, "all": 1}
    first, _ = [json.loads(text) for text in built.questions.splitlines()]
    assert (first["messages"][0]["content"], first["evidence_text"]) == ("e\n\nWhat is q1?", "e")
