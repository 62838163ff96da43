"""Baselines: which examples, formats and prompts a question gets, and what a baseline may never show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from unit.evaluation.questions import make_questions

from burnish.errors import InvalidInputError, LeakageError
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.dataset import SftRow, Split
from burnish_client.evaluation.answer_format import formats_of
from burnish_client.evaluation.baselines import Baseline, TextIndex, baseline_names, plan_baselines, read_corrections
from burnish_client.evaluation.request import BaselineSettings, Correction

SPLIT = Split(targeted=[], held_out=[], train=["t0", "t1", "t2", "q0000"], validation=[], anchors=[])


def correction(question_id: str, prompt: str, output: str = "good") -> Correction:
    return Correction(
        question_id, (Message(role="system", content="old"), Message(role="user", content=prompt)), output
    )


def question(question_id: str, **fields: Any) -> BenchmarkQuestion:
    given = {"prompt": question_id, "expected_answer": "x", "grader": {"name": "exact"}, **fields}
    return BenchmarkQuestion.model_validate({"question_id": question_id, **given})


def one(
    name: str, questions: list[BenchmarkQuestion], corrections: Sequence[Correction] = (), **settings: Any
) -> Baseline:
    asked = BaselineSettings(baseline_names(name), **settings)
    (baseline,) = plan_baselines(asked, questions, SPLIT, corrections, max_tokens=100)
    return baseline


CORRECTIONS = [
    correction("t0", "the colour of grass"),
    correction("t1", "the height of a tower", "324 m"),
    correction("t2", "the length of a river"),
]


def test_every_question_gets_the_same_examples_as_turns_before_it() -> None:
    questions = [
        question(
            "a", messages=[Message(role="system", content="own"), Message(role="user", content="ask")], prompt=None
        ),
        question("b"),
    ]
    baseline = one("few-shot", questions, CORRECTIONS, shots=2)
    turns = [message.role for message in baseline.wordings["a"].messages]
    assert turns == ["system", "user", "assistant", "user", "assistant", "user"]
    assert baseline.wordings["a"].messages[0].content == "own", "the correction's system message stays out"
    assert baseline.wordings["a"].messages[1:5] == baseline.wordings["b"].messages[:4]
    assert len(baseline.details["examples"]) == 2
    assert baseline == one("few-shot", questions, CORRECTIONS[::-1], shots=2), "the order they come in is nothing"


def test_examples_are_taken_from_every_slice_in_turn() -> None:
    questions = [question(f"t{i}", slice="many" if i < 9 else "one") for i in range(10)]
    split = Split(targeted=[], held_out=[], train=[q.question_id for q in questions], validation=[], anchors=[])
    corrections = [correction(q.question_id, q.question_id) for q in questions]
    for seed in range(5):
        settings = BaselineSettings(("few-shot",), shots=2, seed=seed)
        (baseline,) = plan_baselines(settings, questions, split, corrections, max_tokens=9)
        assert "t9" in baseline.details["examples"]


def test_the_nearest_example_stands_last_and_the_question_itself_is_never_shown() -> None:
    tower = question("x", prompt="how high is the tower, its height")
    own = question("q0000", prompt="the height of a tower")
    corrections = [
        *CORRECTIONS[:1],
        *CORRECTIONS[2:],
        correction("t1", "height of towers"),
        correction("q0000", "the height of a tower"),
    ]
    baseline = one("nearest-few-shot", [tower, own], corrections, shots=2)
    assert baseline.wordings["x"].messages[-3].content == "the height of a tower"
    assert "the height of a tower" not in [message.content for message in baseline.wordings["q0000"].messages[:-1]]


def test_a_full_context_takes_fewer_examples_and_the_record_says_so() -> None:
    long = [correction(f"t{i}", "word " * 100) for i in range(3)]
    questions = [question("short"), question("long", prompt="word " * 280)]
    baseline = one("few-shot", questions, long, shots=3, context_tokens=750)
    assert {key: len(wording.messages) for key, wording in baseline.wordings.items()} == {"short": 5}
    assert (baseline.details["questions_with_fewer"], baseline.details["fewest"]) == (2, 0)
    record = baseline.record(len(questions))
    assert (record.changed, record.plain, record.file) == (1, 1, "arm-few-shot.jsonl")


def test_an_example_may_not_be_a_question_that_decides() -> None:
    held_out = make_questions(3)  # q0001 and q0002 were not trained on
    with pytest.raises(LeakageError, match="benchmark question q0001"):
        one("few-shot", held_out, [Correction("t0", (Message(role="user", content="Q0001 "),), "good")])
    with pytest.raises(LeakageError, match="held-out question h"):
        one("few-shot", held_out, [correction("h", "another")])
    with pytest.raises(InvalidInputError, match="there are none"):
        one("nearest-few-shot", held_out)


def test_only_corrections_are_read_from_the_training_rows() -> None:
    rows = [
        SftRow(
            question_id=source,
            source=source,
            prompt=[Message(role="user", content="?")],
            completion=[Message(role="assistant", content=source)],
        )
        for source in ("correction", "anchor")
    ]
    (read,) = read_corrections(b"".join(row.model_dump_json().encode() + b"\n" for row in rows), "sft")
    assert (read.question_id, read.output) == ("correction", "correction")


def test_a_json_format_has_names_and_types_of_the_slice_and_no_value() -> None:
    answers = [{"file": "a.py", "line": 3, "tags": ["secret"]}, {"file": "b.py", "line": None, "note": "secret"}]
    questions = [
        question(f"j{i}", expected_answer=json.dumps(answer), grader={"name": "json_fields"})
        for i, answer in enumerate(answers)
    ]
    forms = formats_of(questions)
    assert forms["j0"] == forms["j1"]
    schema = forms["j0"].parameters["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["file", "line"]
    assert schema["properties"]["file"] == {"type": "string"}
    assert schema["properties"]["tags"] == {"type": "array", "items": {"type": "string"}}
    assert "number" in schema["properties"]["line"]["type"], "a null gives nothing away"
    said = json.dumps(schema) + forms["j0"].instruction
    assert not any(value in said for value in ("secret", "a.py", "b.py"))


def test_a_given_pattern_or_schema_that_fits_one_answer_only_is_not_shown() -> None:
    def asked(pattern: str, *expected: str) -> dict[str, Any]:
        grader = GraderSpec(name="regex", args={"pattern": pattern})
        return dict(
            formats_of([question(f"r{i}", expected_answer=e, grader=grader) for i, e in enumerate(expected)])[
                "r0"
            ].parameters
        )

    assert asked("42", "42") == {}
    assert asked(r"^\d+$", "42", "43") == {"structured_outputs": {"regex": r"\d+"}}
    assert asked(r"(?i)\d+", "42", "43") == {}, "no grammar knows flags"
    const = {"type": "object", "properties": {"a": {"const": "secret"}}}
    grader = GraderSpec(name="json_fields", args={"json_schema": const})
    form = formats_of([question("j", expected_answer='{"a": "secret"}', grader=grader)])["j"]
    assert "secret" not in json.dumps(form.parameters) + form.instruction


def test_closed_answers_are_the_only_ones_that_can_be_given() -> None:
    choices = {"name": "multiple_choice", "args": {"choices": {"a": "Paris", "b": "Rome"}}}
    by_logprob = {"name": "multiple_choice", "args": {**choices["args"], "by": "logprob"}}
    labels = {"name": "one_of", "args": {"labels": ["billing", "other"]}}
    questions = [
        question("c", expected_answer="A", grader=choices),
        question("l", expected_answer="other", grader=labels),
        question("p", expected_answer="A", grader=by_logprob),
        question("e"),
    ]
    baseline = one("choice", questions)
    assert {key: wording.parameters for key, wording in baseline.wordings.items()} == {
        "c": {"structured_outputs": {"choice": ["A", "B"]}},
        "l": {"structured_outputs": {"choice": ["billing", "other"]}},
    }
    record = baseline.record(4)
    assert (record.changed, record.plain, record.not_applicable) == (2, 2, None)
    assert "2 of 4 questions" in record.what
    said = one("prompt", questions).wordings["l"].messages[0].content
    assert said == "Answer with one of these and nothing else: billing; other"


def test_a_baseline_that_changes_nothing_is_not_applicable() -> None:
    baseline = one("schema", [question(f"e{i}") for i in range(360)])
    assert baseline.not_applicable is not None
    assert "a JSON object" in baseline.not_applicable
    record = baseline.record(360)
    assert (record.file, record.changed, record.not_applicable) == ("", 0, baseline.not_applicable)


def test_the_stricter_prompt_follows_the_grader_or_is_the_users() -> None:
    own_system = [Message(role="system", content="own"), Message(role="user", content="ask")]
    questions = [
        question("a", messages=own_system, prompt=None),
        question("n", grader={"name": "number"}, expected_answer="1"),
    ]
    derived = one("prompt", questions)
    assert derived.wordings["a"].messages[0].content.startswith("own\n\nAnswer with the text that is asked for")
    assert derived.wordings["n"].messages[0].content == "Answer with one number in digits and nothing else."
    assert sum(text["questions"] for text in derived.details["texts"]) == 2
    given = one("prompt", questions, prompt="Be strict.")
    assert given.details["texts"] == [{"text": "Be strict.", "questions": 2}]
    assert given.wordings["a"].messages == (Message(role="system", content="own\n\nBe strict."), own_system[1])


def test_baselines_are_named_in_one_order_and_unknown_ones_refused() -> None:
    assert baseline_names("prompt, few-shot") == ("few-shot", "prompt")
    assert len(baseline_names("all")) == 5
    for text in ("fewshot", "", " , "):
        with pytest.raises(InvalidInputError, match="no baseline"):
            baseline_names(text)


def test_text_that_shares_rare_words_is_nearest() -> None:
    index = TextIndex(["the the the cat", "the dog", "the cat and dog"])
    assert index.nearest("a dog") == [1, 2, 0]
    assert index.nearest("nothing known") == [0, 1, 2], "ties in the order given"
    assert TextIndex([]).nearest("x") == []
