"""One JSONL line to one RunLogLine, or the reason why not. The hot path of ingest: RunLogLine itself decides, orjson parses.

JSON says nothing of duplicate keys and parsers keep the last; here such a line is refused, since a value would be lost.
"""

from __future__ import annotations

import json
from typing import Any

import orjson
from pydantic import ValidationError

from burnish.errors import validation_problems
from burnish.schemas.runlog import RunLogLine

MAX_DEPTH = 64
BIGGEST_EXACT = float(2**63)  # orjson reads larger integers as floats


class RejectedError(ValueError):
    """This line cannot be taken; the text is the reason shown to the user. Never leaves the package."""


def parse_line(content: bytes) -> RunLogLine:
    """The validated line; RejectedError with a reason where it is none."""
    value = parse_object(content)
    try:
        return RunLogLine.read(value)
    except ValidationError as error:
        raise RejectedError(validation_problems(error, whole="line")) from None


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object with no duplicate key, no NaN, integers exact, nested no deeper than 64; RejectedError otherwise."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise RejectedError(_syntax_reason(content, error)) from None
    if type(value) is not dict:
        raise RejectedError(f"not a JSON object but {_json_type(value)}")
    members, inexact = _survey(value)
    if _may_have_more_members(content, members) or inexact:
        return _parse_exactly(content)
    return value


def _survey(value: dict[str, Any]) -> tuple[int, bool]:
    """(object members anywhere inside, whether a number may have lost digits); RejectedError if nested too deep."""
    members = len(value)
    inexact = False
    open_values = [(1, child) for child in value.values() if type(child) in (dict, list, float)]
    while open_values:
        depth, child = open_values.pop()
        if type(child) is float:
            inexact = inexact or abs(child) >= BIGGEST_EXACT
            continue
        if depth >= MAX_DEPTH:
            raise RejectedError(f"nested deeper than {MAX_DEPTH} levels")
        inner = child.values() if type(child) is dict else child
        members += len(child) if type(child) is dict else 0
        open_values += [(depth + 1, grandchild) for grandchild in inner if type(grandchild) in (dict, list, float)]
    return members, inexact


def _may_have_more_members(content: bytes, members: int) -> bool:
    """Whether the text may spell more keys than were parsed, that is, a key twice. False is certain, True asks for a slow look.

    A key ends in `":` (white space may stand between); `\\":` stands inside a string. The two forms that would blur this
    count, white space before a colon and an escaped backslash before a quote, always ask for the slow look.
    """
    if b" :" in content or b"\t:" in content or b"\r:" in content:
        return True
    keys = content.count(b'":')
    if keys == members:
        return b'\\":' in content
    return b'\\\\":' in content or keys - content.count(b'\\":') != members


def _parse_exactly(content: bytes) -> dict[str, Any]:
    """The standard library's parser, which shows duplicate keys and keeps big integers exact."""
    try:
        value: dict[str, Any] = json.loads(content, object_pairs_hook=_unique_keys)
    except RejectedError:
        raise
    except ValueError as error:
        raise RejectedError(f"not JSON that can be kept exactly: {error}") from None
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise RejectedError(f"key {twice!r} stands twice in one object")
    return value


def _syntax_reason(content: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as bad:
        return f"not UTF-8: byte 0x{content[bad.start]:02x} at column {bad.start + 1}"
    return f"not JSON: {error.msg} at column {error.pos + 1}"


def _json_type(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
