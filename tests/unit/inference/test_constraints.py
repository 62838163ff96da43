"""What may constrain an answer: bounded in size and depth, and ending somewhere."""

from __future__ import annotations

import json
import time

import pytest

from burnish.errors import InvalidInputError
from burnish_inference.constraints import check_constraints

TREE = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
MUTUAL = {
    "$ref": "#/$defs/a",
    "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"oneOf": [{"$ref": "#/$defs/a"}]}},
}


def refused(payload: dict, allow_grammars: bool = False) -> str:
    with pytest.raises(InvalidInputError) as error:
        check_constraints(payload, 16 * 1024, allow_grammars)
    assert error.value.metadata["field"] in payload
    return error.value.message


def schema(value: object) -> dict:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": value}}}


def nested(levels: int) -> dict:
    made: dict = {"type": "string"}
    for _ in range(levels):
        made = {"properties": {"a": made}}
    return made


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"structured_outputs": {"choice": [f"item {n}" for n in range(30_000)]}}, "BURNISH_INFERENCE_MAX_CONSTRAINT_BYTES"),
        ({"structured_outputs": {"regex": "a" * 20_000}}, "BURNISH_INFERENCE_MAX_CONSTRAINT_BYTES"),
        (schema({"properties": {f"p{n}": {"type": "string"} for n in range(5000)}}), "may have 16384"),
        (schema(nested(40)), "deeper than 64"),
        ({"structured_outputs": {"json": json.dumps(nested(40))}}, "deeper than 64"),
        ({"structured_outputs": {"json": "{"}}, "not JSON"),
        ({"structured_outputs": "(a|b)"}, "must be an object"),
        ({"structured_outputs": ["a", "b"]}, "must be an object"),
        ({"structured_outputs": True}, "must be an object"),
        (schema({"$ref": "#"}), "refers to itself"),
        (schema({"anyOf": [{"type": "null"}, {"$ref": "#"}]}), "refers to itself"),
        (schema(MUTUAL), "refers to itself"),
        (schema({"properties": {"a": {"$ref": "#/properties/a"}}}), "refers to itself"),
        (schema({"$ref": "https://example.org/schema"}), "no place in its own schema"),
        (schema({"$ref": "#/$defs/missing"}), "no place in its own schema"),
        ({"structured_outputs": {"json": json.dumps({"$ref": "#"})}}, "refers to itself"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#"}}}]}, "refers to itself"),
        ({"structured_outputs": {"grammar": "root ::= root"}}, "BURNISH_INFERENCE_ALLOW_GRAMMARS"),
        ({"response_format": {"type": "structural_tag", "format": {}}}, "BURNISH_INFERENCE_ALLOW_GRAMMARS"),
    ],
)  # fmt: skip
def test_what_could_keep_the_engine_busy_is_refused(payload: dict, words: str) -> None:
    assert words in refused(payload)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"response_format": {"type": "json_object"}, "tools": None},
        {"structured_outputs": {"choice": ["yes", "no"], "grammar": None}},
        {"structured_outputs": {"regex": r"\d{4}-\d\d"}},
        schema(TREE),
        schema({"$defs": {"a/b": {"type": "null"}}, "properties": {"x": {"$ref": "#/$defs/a~1b"}}}),
        {"structured_outputs": {"json": json.dumps(TREE)}},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ],
)
def test_what_people_send_passes(payload: dict) -> None:
    check_constraints(payload, 16 * 1024, allow_grammars=False)


@pytest.mark.parametrize("value", [1, "x", [], [1], {"json": 1}, {"json_schema": []}])
@pytest.mark.parametrize("name", ["response_format", "tools"])
def test_another_shape_is_the_engines_to_refuse(name: str, value: object) -> None:
    check_constraints({name: value}, 16 * 1024, allow_grammars=False)


def test_a_grammar_is_taken_where_the_server_allows_it() -> None:
    check_constraints({"structured_outputs": {"grammar": 'root ::= "a"'}}, 16 * 1024, allow_grammars=True)


def test_checking_the_worst_takes_no_time() -> None:
    many = {"$defs": {"a": {"anyOf": [{}] * 2000}}, "anyOf": [{"$ref": "#/$defs/a"} for _ in range(350)]}
    started = time.process_time()
    check_constraints(schema(many), 16 * 1024, allow_grammars=False)
    check_constraints({"tools": [[[]] * 5000]}, 16 * 1024, allow_grammars=False)
    assert time.process_time() - started < 0.5
