"""Finding the JSON object in a model's answer, and naming what is wrong where there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MAX_STARTS = 200  # opening braces tried before giving up: bounds the time that hostile text can take
MAX_DEPTH = 100


@dataclass(frozen=True)
class FoundObject:
    """value: the object; surrounded: there is text or a code fence around it."""

    value: dict[str, Any]
    surrounded: bool


@dataclass(frozen=True)
class JsonProblem:
    label: str
    detail: str


_TOO_DEEP = JsonProblem("nested-too-deep", f"objects and lists stand over {MAX_DEPTH} levels deep in one another")


class _DuplicateKeyError(ValueError):
    pass


def find_object(answer: str) -> FoundObject | JsonProblem:
    """The answer as a JSON object (RFC 8259: no NaN, no duplicate keys), or the first object inside it.

    A byte order mark before it is ignored. Labels of a problem: not-json, json-cut-off (an object that is opened and never
    closed), nested-too-deep (over MAX_DEPTH levels), not-an-object, duplicate-key.
    """
    found = _find(answer.strip().removeprefix("\ufeff").strip())
    if isinstance(found, FoundObject) and too_deep(found.value):
        return _TOO_DEEP
    return found


def too_deep(value: Any) -> bool:
    """Whether objects and lists nest over MAX_DEPTH levels; comparing such a value could exhaust the stack."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [item for item in level if isinstance(item, (dict, list))]
        level = [member for c in containers for member in (c.values() if isinstance(c, dict) else c)]
        if not level:
            return False
    return True


def _find(text: str) -> FoundObject | JsonProblem:
    try:
        value = _DECODER.decode(text)
    except _DuplicateKeyError as error:
        return JsonProblem("duplicate-key", str(error))
    except RecursionError:
        return _TOO_DEEP
    except ValueError:
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
        except RecursionError:
            return _TOO_DEEP
        except ValueError as error:
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
