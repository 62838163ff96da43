"""Bounds on what may constrain an answer: a JSON schema, a list of choices, a regex, a grammar. Checked before vLLM compiles it.

Compiling grows faster than its input (5,000 properties or 30,000 choices: over 40 s of a core with xgrammar 0.2), and a schema or
grammar may refer to itself without end.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import orjson

from burnish.errors import InvalidInputError

PARAMETERS = ("response_format", "structured_outputs", "tools")
DEEPEST = 64
GRAMMARS = ("grammar", "structural_tag")
IN_PLACE = ("allOf", "anyOf", "oneOf")  # a schema's own instance is checked by these, not a part of it


def check_constraints(payload: dict[str, Any], max_bytes: int, allow_grammars: bool) -> None:
    """InvalidInputError for a parameter that is too large, nested too deep, or refers to itself or to another document."""
    for name in PARAMETERS:
        value = payload.get(name)
        if value is None:
            continue
        if name == "structured_outputs" and not isinstance(value, dict):  # vLLM 0.32 takes it for one, and fails
            raise InvalidInputError(f'`{name}` must be an object: {{"regex": …}}, for example', field=name)
        if _depth(value) > DEEPEST:
            raise InvalidInputError(f"`{name}` is nested deeper than {DEEPEST} levels: flatten it", field=name)
        if (size := len(orjson.dumps(value))) > max_bytes:
            raise InvalidInputError(
                f"`{name}` has {size} bytes, and what constrains an answer may have {max_bytes} "
                "(BURNISH_INFERENCE_MAX_CONSTRAINT_BYTES): ask for less, or in several requests",
                field=name,
            )
        if not allow_grammars:
            _refuse_grammars(name, value)
        for schema in _schemas(name, value):
            _check_references(name, schema)


def _depth(value: Any) -> int:
    """Levels of lists and objects, counted without recursion; stops counting past the limit."""
    level, layer = 0, [value]
    while layer and level <= DEEPEST:
        layer = [
            child
            for one in layer
            if isinstance(one, (list, dict))
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        level += 1
    return level


def _refuse_grammars(name: str, value: Any) -> None:
    kind = value.get("type") if name == "response_format" and isinstance(value, dict) else None
    given = set(value) & set(GRAMMARS) if name == "structured_outputs" and isinstance(value, dict) else set()
    used = [one for one in GRAMMARS if one == kind or (one in given and value[one] is not None)]
    if used:
        raise InvalidInputError(
            f"`{name}` has a {used[0]}, which is not taken since one can keep the engine busy without end: use a JSON schema, a regex "
            "or a list of choices, or let the server take it (BURNISH_INFERENCE_ALLOW_GRAMMARS=1)",
            field=name,
        )


def _schemas(name: str, value: Any) -> Iterator[dict[str, Any]]:
    """The JSON schemas in a parameter. What has another shape is vLLM's to refuse."""
    if name == "tools":
        functions = (
            [tool.get("function") for tool in value if isinstance(tool, dict)] if isinstance(value, list) else []
        )
        found = [one.get("parameters") for one in functions if isinstance(one, dict)]
    elif not isinstance(value, dict):
        return
    elif name == "structured_outputs":
        found = [value.get("json")]
    else:
        wrapped = value.get("json_schema")
        found = [wrapped.get("schema")] if isinstance(wrapped, dict) else []
    for schema in found:
        if isinstance(schema, str):
            try:
                schema = orjson.loads(schema)
            except orjson.JSONDecodeError as error:
                raise InvalidInputError(f"`{name}` has a schema that is not JSON: {error}", field=name) from error
            if _depth(schema) > DEEPEST:
                raise InvalidInputError(f"`{name}` is nested deeper than {DEEPEST} levels: flatten it", field=name)
        if isinstance(schema, dict):
            yield schema


def _check_references(name: str, root: dict[str, Any]) -> None:
    """Each `$ref` names a place of its own document, and no chain of them comes back without having entered a part."""
    same_instance = TopologicalSorter[int]()
    layer: list[Any] = [root]
    while layer:
        one = layer.pop()
        if isinstance(one, dict):
            same_instance.add(id(one), *(id(other) for other in _in_place(name, root, one)))
        layer += one.values() if isinstance(one, dict) else one if isinstance(one, list) else []
    try:
        same_instance.prepare()
    except CycleError:
        raise InvalidInputError(f"`{name}` has a schema that refers to itself without end", field=name) from None


def _in_place(name: str, root: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas that the same instance is checked by: each is a place of `root`."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target = _resolved(root, reference)
        if target is None:
            raise InvalidInputError(
                f"`{name}` has the $ref {reference[:100]!r}, which is no place in its own schema (`#/$defs/…`): put it there",
                field=name,
            )
        yield target
    for key in IN_PLACE:
        branches = schema.get(key)
        yield from (one for one in branches if isinstance(one, dict)) if isinstance(branches, list) else ()


def _resolved(root: dict[str, Any], reference: str) -> dict[str, Any] | None:
    """RFC 6901 pointers after `#` alone."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    here: Any = root
    for step in reference.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict) and key in here:
            here = here[key]
        elif isinstance(here, list) and key.isdecimal() and int(key) < len(here):
            here = here[int(key)]
        else:
            return None
    return here if isinstance(here, dict) else None
