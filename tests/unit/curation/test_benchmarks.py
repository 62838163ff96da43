"""Benchmark files: whole or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from burnish.curation.benchmarks.building import build_benchmark
from burnish.errors import InvalidInputError
from burnish.schemas.benchmark import BenchmarkQuestion


def question(question_id: str, **fields: Any) -> dict[str, Any]:
    base = {"question_id": question_id, "prompt": "Why?", "expected_answer": "x", "grader": {"name": "exact"}}
    return base | fields


def jsonl(*lines: dict[str, Any] | str) -> list[bytes]:
    return ["\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode()]


def schema(value: dict[str, Any]) -> dict[str, Any]:
    return {"name": "json_fields", "args": {"json_schema": value}}


def fields(name: str) -> dict[str, Any]:
    return {"name": "json_fields", "args": {"fields": {name: "exact"}}}


REMOTE = {"properties": {"a": {"items": {"$ref": "http://127.0.0.1:9/schema"}}}}
ENDLESS = {"$defs": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}]}}, "items": {"$ref": "#/$defs/a"}}
DEEP: dict[str, Any] = {}
for _ in range(60):
    DEEP = {"properties": {"a": DEEP}}


def test_questions_are_kept_and_counted() -> None:
    built = build_benchmark(jsonl(question("q1", slice="a"), "", question("q2", benchmark_only=True)), "b")
    assert (built.manifest.questions, built.manifest.slices) == (2, {"a": 1, "all": 1})
    kept = [BenchmarkQuestion.model_validate_json(line) for line in built.questions.splitlines()]
    assert [q.question_id for q in kept] == ["q1", "q2"]
    assert kept[1].benchmark_only


def test_the_version_is_of_the_questions_not_of_their_spelling() -> None:
    one = build_benchmark(jsonl(question("q1")), "b").manifest.version
    assert build_benchmark(jsonl(json.dumps(question("q1"), indent=None, sort_keys=True)), "c").manifest.version == one
    assert build_benchmark(jsonl(question("q1", slice="x")), "b").manifest.version != one


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((question("q1"), "{"), "line 2: not JSON"),
        ((question("q1"), question("q1")), "line 2: question_id 'q1' is already on line 1"),
        ((question("q1", grader={"name": "nonsense"}),), "line 1: grader 'nonsense' does not exist"),
        ((question("q1", grader={"name": "exact", "args": {"x": 1}}),), "line 1: .*x"),
        ((question("q1", messages=[]),), "line 1: line: Value error, give exactly one of `prompt` and `messages`"),
        ((question("q1", tenant="a"),), "line 1: tenant: Extra inputs are not permitted"),
        ((question("q1", max_tokens="9"),), "line 1: max_tokens: Input should be a valid integer"),
        (
            (question("q1", grader={"name": "regex", "args": {"pattern": "("}}),),
            r"line 1: .*'\(' is no regular expression",
        ),
        ((question("q1", expected_answer="[", grader={"name": "regex"}),), "line 1: .* is no regular expression"),
        (
            (question("q1", expected_answer="(" * 3000 + ")" * 3000, grader={"name": "regex"}),),
            "is no regular expression",
        ),
        (
            (question("q1", expected_answer="a" * 10_001, grader={"name": "regex"}),),
            "line 1: .* may have 10000 characters",
        ),
        ((question("q1", expected_answer="(?R)?a(?R)b", grader={"name": "regex"}),), "line 1: .* calls itself"),
        ((question("q1", grader=schema({"type": "nonsense"})),), "line 1: .*not a JSON Schema"),
        ((question("q1", grader=schema({"$schema": {}})),), r"line 1: .*`\$schema` is the address of a draft"),
        ((question("q1", grader=schema({"$schema": True})),), r"line 1: .*`\$schema` is the address of a draft"),
        (
            (question("q1", grader=schema({"items": {"pattern": "("}})),),
            "line 1: .*not a JSON Schema: .* is not a 'regex'",
        ),
        (
            (question("q1", grader=schema({"items": {"pattern": "a" * 10_001}})),),
            "line 1: .* may have 10000 characters",
        ),
        (
            (question("q1", grader=schema({"items": {"pattern": "(" * 3000 + ")" * 3000}})),),
            "line 1: .* nested too deep",
        ),
        (
            (question("q1", grader=schema({"patternProperties": {"a" * 10_001: {}}})),),
            "line 1: .* may have 10000 characters",
        ),
        (
            (question("q1", grader=schema(REMOTE)),),
            "line 1: .*cannot be followed.*refer only to what stands in the schema",
        ),
        ((question("q1", grader=schema(ENDLESS)),), "line 1: .*refers to itself without end"),
        ((question("q1", grader=schema(DEEP)),), "line 1: nested deeper than 64 levels"),
        (
            (question("q1", expected_answer="{}", grader=fields("a")),),
            "line 1: .*field 'a' is not in the expected answer",
        ),
        ((question("q1"), question("q2", expected_answer=" ")), "line 2: expected_answer of 'q2' is empty"),
        ((), "the file has no question"),
        (tuple("x" * 13), "line 10: not JSON.*; and 3 more"),
    ],
)
def test_one_bad_line_refuses_the_file(lines: tuple[Any, ...], expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        build_benchmark(jsonl(*lines), "b")


def test_a_schema_may_refer_to_its_own_places() -> None:
    tree = {
        "$id": "https://example.org/tree",
        "$defs": {"leaf": {"$anchor": "leaf", "pattern": "^x"}, "all": {"items": {"$ref": "#"}}},
        "properties": {"a": {"$ref": "#leaf"}, "children": {"$ref": "tree#/$defs/all"}, "$ref": {"type": "string"}},
    }
    assert (
        build_benchmark(jsonl(question("q1", expected_answer="{}", grader=schema(tree))), "b").manifest.questions == 1
    )
