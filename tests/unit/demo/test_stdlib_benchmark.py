"""The generated benchmark: deterministic, big enough, and every answer right by another reading of the evidence."""

from __future__ import annotations

import builtins
import inspect
import json
import re
import types
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from burnish.digests import prompt_key
from burnish.errors import InvalidInputError
from burnish.grading import grade
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish_client.demo.stdlib_benchmark import generate, quotas


@cache
def benchmark(seed: int = 0, size: int = 280) -> list[BenchmarkQuestion]:
    return generate(seed, size)


def of_slice(name: str) -> list[BenchmarkQuestion]:
    found = [question for question in benchmark() if question.slice == name]
    assert found
    return found


class Anything:
    """Stands in for whatever a default value takes from its module."""

    def __getattr__(self, name: str) -> Anything:
        return self

    def __call__(self, *positional: object, **named: object) -> Anything:
        return self

    __or__ = __ror__ = __and__ = __mul__ = __rmul__ = __add__ = __sub__ = __getitem__ = __call__


class Names(dict):
    """Builtins in which every other name stands for Anything."""

    def __missing__(self, name: str) -> Anything:
        return Anything()


def constructed(question: BenchmarkQuestion) -> tuple[types.FunctionType, str]:
    """The function of the evidence as Python itself makes it, and its name or Class.name; names it needs are stood in for."""
    code = compile(f"from __future__ import annotations\n{question.evidence_text}", question.evidence_files[0], "exec")

    space: dict = {}
    exec(code, {"__builtins__": Names(vars(builtins))}, space)
    made = [value for value in space.values() if isinstance(value, type | types.FunctionType)]
    (outer,) = made
    if isinstance(outer, types.FunctionType):
        return outer, outer.__name__
    members = [getattr(value, "__func__", value) for value in vars(outer).values()]  # __new__ becomes a static method
    (function,) = [member for member in members if isinstance(member, types.FunctionType)]
    return function, f"{outer.__name__}.{function.__name__}"


def test_the_same_seed_gives_the_same_benchmark_and_another_seed_another():
    first, again, other = generate(3, 28), generate(3, 28), generate(4, 28)
    assert first == again
    assert len({q.question_id for q in first} & {q.question_id for q in other}) < len(first) / 2


def test_it_has_at_least_240_questions_over_at_least_four_slices_and_no_prompt_or_id_twice():
    questions = benchmark()
    slices = Counter(question.slice for question in questions)
    assert len(questions) >= 240
    assert len(slices) >= 4
    assert min(slices.values()) >= 30
    assert dict(slices) == quotas(280)
    assert len({q.question_id for q in questions}) == len(questions)
    prompts = {prompt_key(message.model_dump() for message in q.prompt_messages()) for q in questions}
    assert len(prompts) == len(questions)
    assert len({q.evidence_text for q in questions}) == len(questions)


def test_prompts_show_the_evidence_then_the_bare_question_and_both_are_short():
    for question in benchmark():
        prompt = question.prompt_messages()[-1].content
        assert prompt == f"{question.evidence_text}\n\n{question.question}"
        assert len(prompt) < 600
        assert question.max_tokens is not None
        assert question.max_tokens <= 64


def test_every_known_good_answer_passes_its_own_grader_and_a_wrong_or_empty_one_fails_by_name():
    for question in benchmark():
        assert grade(question.grader, question.expected_answer, question.expected_answer).passed
        for wrong in ("The code above is a Python function that takes 42 arguments.", '{"file": 42}', ""):
            failed = grade(question.grader, wrong, question.expected_answer)
            assert failed.passed is False, (question.question_id, wrong)
            assert failed.failure_label


def test_signatures_are_what_python_says_of_the_compiled_evidence():
    for question in of_slice("signature-json"):
        function, _ = constructed(question)
        answer = json.loads(question.expected_answer)
        assert answer["symbol"] == function.__name__
        assert answer["parameters"] == list(inspect.signature(function).parameters)
        assert [answer["file"]] == question.evidence_files
        assert question.evidence_text.startswith(f"# {answer['file']}\n")


def test_names_and_classes_are_what_python_says_of_the_compiled_evidence():
    for question in of_slice("function-name"):
        assert question.expected_answer == constructed(question)[0].__name__
    for question in of_slice("class-of-method"):
        assert question.expected_answer == constructed(question)[1].split(".")[0]


def test_file_names_are_those_of_the_evidence():
    for question in of_slice("file-name"):
        assert question.expected_answer == Path(question.evidence_files[0]).name


def test_defaults_stand_behind_their_parameter_in_the_source():
    for question in of_slice("default-value"):
        parameter = (question.question or "").removeprefix("Which value does ").removesuffix(" have by default?")
        signature = question.evidence_text.split("def ", 1)[1].replace(" ", "").replace('"', "").replace("'", "")
        default = re.escape(question.expected_answer.replace(" ", ""))
        assert re.search(rf"\b{parameter}(:[^,]+)?={default}[,)\n]", signature)


def test_evidence_is_the_text_of_the_file_it_names():
    from burnish_client.demo.stdlib_functions import standard_library

    for question in benchmark()[:60]:
        whole = {line.strip() for line in (standard_library() / question.evidence_files[0]).read_text().splitlines()}
        shown = [line.strip() for line in question.evidence_text.splitlines()[1:]]
        assert {line for line in shown if not line.startswith("class ")} <= whole


def test_a_json_answer_with_the_right_values_in_the_wrong_fields_is_named_as_such():
    question = of_slice("signature-json")[0]
    answer = json.loads(question.expected_answer)
    swapped = json.dumps({**answer, "file": answer["symbol"], "symbol": answer["file"]})
    assert grade(question.grader, swapped, question.expected_answer).failure_label == "right-value-wrong-field"
    assert grade(question.grader, f"Here: {question.expected_answer}", question.expected_answer).passed is False


def test_a_size_below_one_question_a_slice_or_above_the_library_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="too few for"):
        generate(0, 3)
    (tmp_path / "tiny.py").write_text(
        "def answer(question, default=None):\n    return question or default or 'nothing at all'\n"
    )
    with pytest.raises(InvalidInputError, match="ask for fewer"):
        generate(0, 280, library=tmp_path)
