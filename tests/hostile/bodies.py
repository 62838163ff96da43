"""JSON bodies by their schema: the least that it takes, with one field at a time hostile, at any depth; and lines of JSONL alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hostile.values import HOSTILE_VALUES, as_json

Schema = dict[str, Any]
DEEPEST = 3
INNER_VALUES: list[Any] = [2**70, -1, "\x00", "\ud800", None, ["\x00"], 1e308, {"a": {"a": {}}}]
WORDS = {
    "prompt_key": "0" * 64,
    "label": "not_json",
    "host": "teacher.example",
}  # fields whose pattern no plain word has


def hostile_bodies(document: Schema, schema: Schema) -> Iterator[Any]:
    """document: where `$ref` leads. First what is good, as far as its types say."""
    yield least(document, schema)
    yield from _spoilt(document, schema, 0)


def hostile_lines(document: Schema, schema: Schema, good: dict[str, Any]) -> Iterator[bytes]:
    """For each field a file: a line for each hostile value of it, between good ones. good: what a line must have besides its types."""
    fields = _object_of(document, schema)["properties"]
    for name, inner in fields.items():
        values = [*HOSTILE_VALUES, *_spoilt(document, inner, 1)]
        lines = [good, *(good | {name: value} for value in values), {key: good[key] for key in good if key != name}]
        yield b"\n".join(map(as_json, lines))


def least(document: Schema, schema: Schema) -> Any:
    """What is needed at least; of several kinds the first one that is not null."""
    schema = _resolved(document, schema)
    for word in ("examples", "enum"):
        if schema.get(word):
            return schema[word][0]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {
            name: WORDS.get(name) or least(document, schema["properties"][name]) for name in schema.get("required", [])
        }
    if kind == "array":
        return [least(document, schema["items"])] if schema.get("minItems") else []
    return {"integer": 1, "number": 1, "boolean": False, "null": None}.get(kind or "", "real")


def _spoilt(document: Schema, schema: Schema, depth: int) -> Iterator[Any]:
    """Everything that the schema takes with one hostile place in it."""
    if depth > DEEPEST:
        return
    for each in _kinds(document, schema):
        if each.get("type") == "array" and "items" in each:
            yield from ([inner] for inner in _spoilt(document, each["items"], depth + 1))
        good = least(document, each)
        for name, inner in each.get("properties", {}).items():
            for value in HOSTILE_VALUES if depth == 0 else INNER_VALUES:
                yield good | {name: value}
            for value in _spoilt(document, inner, depth + 1):
                yield good | {name: value}


def _kinds(document: Schema, schema: Schema) -> list[Schema]:
    schema = _resolved(document, schema, first=False)
    several = schema.get("anyOf") or schema.get("oneOf")
    return [kind for each in several for kind in _kinds(document, each)] if several else [schema]


def _object_of(document: Schema, schema: Schema) -> Schema:
    return next(each for each in _kinds(document, schema) if "properties" in each)


def _resolved(document: Schema, schema: Schema, first: bool = True) -> Schema:
    """Where `$ref` leads; with `first`, into the first kind that is not null too."""
    if "$ref" in schema:
        target: Any = document
        for word in schema["$ref"].removeprefix("#/").split("/"):
            target = target[word]
        return _resolved(document, target | {k: v for k, v in schema.items() if k != "$ref"}, first)
    several = schema.get("anyOf") or schema.get("oneOf")
    if first and several:
        return _resolved(document, next((each for each in several if each.get("type") != "null"), several[0]), first)
    return schema
