"""Where objects stand, and the rules that schemas hold beyond types."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from burnish import layout
from burnish.errors import InvalidInputError, NotFoundError
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.evaluation import EXIT_CODES, EvalRow


def test_keys_stand_where_the_design_puts_them() -> None:
    assert layout.runlog("id") == "runlogs/id/manifest.json"
    assert layout.dataset("name", "v", "train.jsonl") == "datasets/name/v/train.jsonl"
    assert layout.adapter("name", "v") == "adapters/name/v/manifest.json"
    assert layout.benchmark("name", "v", "questions.jsonl") == "benchmarks/name/v/questions.jsonl"
    assert layout.evaluation("id", "verdict.json") == "evals/id/verdict.json"
    assert layout.alias("name") == "aliases/name.json"


def test_checkpoints_list_in_step_order() -> None:
    steps = [9, 10, 100]
    assert sorted(layout.checkpoint("job", step) for step in steps) == [layout.checkpoint("job", s) for s in steps]


KEYS = [
    function
    for name, function in vars(layout).items()
    if inspect.isfunction(function) and not name.startswith("_") and name != "check_name"
]


@pytest.mark.parametrize("part", ["", "..", "a/b", "..\\..\\x", "a@b", "\0", "x" * 201])
@pytest.mark.parametrize("key", KEYS, ids=lambda function: function.__name__)
def test_each_part_of_a_key_that_a_caller_names_is_checked(key: Callable[..., str], part: str) -> None:
    texts = [
        name
        for name, one in inspect.signature(key).parameters.items()
        if one.annotation == "str" and (name != "file" or key is layout.inbox)
    ]
    numbers = dict.fromkeys({"step", "number"} & set(inspect.signature(key).parameters), 1)
    assert texts
    for hostile in texts:
        with pytest.raises(NotFoundError):
            key(**numbers, **(dict.fromkeys(texts, "good") | {hostile: part}))


@pytest.mark.parametrize("name", ["", "-a", ".a", "A", "a/b", "a b", "é", "a" * 64, "..", "a\n"])
def test_names_that_could_leave_their_folder_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="start with a letter or digit"):
        layout.check_name(name, "name")


def test_good_names_pass() -> None:
    for name in ("a", "7b", "json-location_2.1", "a" * 63):
        assert layout.check_name(name, "name") == name


def test_a_question_has_one_prompt() -> None:
    fields = {"question_id": "q", "expected_answer": "a", "grader": GraderSpec(name="exact")}
    assert BenchmarkQuestion(**fields, prompt="p").prompt_messages()[0].content == "p"
    for bad in ({}, {"prompt": "p", "messages": [{"role": "user", "content": "p"}]}):
        with pytest.raises(ValidationError, match="exactly one of `prompt` and `messages`"):
            BenchmarkQuestion.model_validate({**fields, **bad})


def test_a_bare_grader_is_told_how_to_write_it() -> None:
    fields = {"question_id": "q", "prompt": "p", "expected_answer": "1", "grader": "number"}
    with pytest.raises(ValidationError, match=r'write \{"name": "number"\}'):
        BenchmarkQuestion.model_validate(fields)


def test_rows_refuse_what_is_no_number_and_what_is_misspelt() -> None:
    row = {"question_id": "q", "targeted": True, "held_out": True, "passed": True}
    for bad in ({"score": float("nan")}, {"score": 1.01}, {"sample": -1}, {"heldout": True}):
        with pytest.raises(ValidationError):
            EvalRow.model_validate({**row, **bad})


def test_exit_codes_are_the_documented_ones() -> None:
    assert EXIT_CODES == {"ship": 0, "investigate": 10, "data-quality": 11, "stop": 12, "inconclusive": 13}
