"""Finding the JSON object in a model's answer, and naming what is wrong where there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MAX_STARTS = 200  # opening braces tried before giving up: bounds the time that hostile text can take


@dataclass(frozen=True)
class FoundObject:
    """value: the object; surrounded: there is text or a code fence around it."""

    value: dict[str, Any]
    surrounded: bool


@dataclass(frozen=True)
class JsonProblem:
    label: str
    detail: str


class _DuplicateKeyError(ValueError):
    pass


def find_object(answer: str) -> FoundObject | JsonProblem:
    """The answer as a JSON object (RFC 8259: no NaN, no duplicate keys), or the first object inside it.

    Labels of a problem: not-json, json-cut-off (an object that is opened and never closed), not-an-object, duplicate-key.
    """
    text = answer.strip()
    try:
        value = _DECODER.decode(text)
    except _DuplicateKeyError as error:
        return JsonProblem("duplicate-key", str(error))
    except (ValueError, RecursionError):
        return _first_inside(text)
    if not isinstance(value, dict):
        return JsonProblem("not-an-object", f"the answer is a JSON {type(value).__name__}, not an object")
    return FoundObject(value, surrounded=False)


def _first_inside(text: str) -> FoundObject | JsonProblem:
    start, cut_off = text.find("{"), False
    for _ in range(MAX_STARTS):
        if start < 0:
            break
        try:
            value, _end = _DECODER.raw_decode(text, start)
            return FoundObject(value, surrounded=True)
        except _DuplicateKeyError as error:
            return JsonProblem("duplicate-key", str(error))
        except json.JSONDecodeError as error:
            cut_off = cut_off or error.pos >= len(text) or error.msg.startswith("Unterminated string")
        except (ValueError, RecursionError) as error:
            return JsonProblem("not-json", str(error))
        start = text.find("{", start + 1)
    if cut_off:
        return JsonProblem("json-cut-off", "an object is opened and never closed")
    return JsonProblem("not-json", "there is no JSON object in the answer")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, member in pairs:
        if name in value:
            raise _DuplicateKeyError(f"field {name!r} stands twice in one object")
        value[name] = member
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_refuse_constant)
