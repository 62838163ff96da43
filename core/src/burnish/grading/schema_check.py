"""JSON Schema for the json_fields grader: no network, no unbounded regular expression, no endless reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema
import referencing
from jsonschema.protocols import Validator

from burnish.errors import InvalidInputError
from burnish.grading.patterns import compiled, search

FIELD = "grader.args.json_schema"
Violations = Iterator[jsonschema.ValidationError]


def schema_violation(value: Any, schema: dict[str, Any] | None) -> str | None:
    """The most telling violation as a sentence, or None where there is none or no schema.

    Raises InvalidInputError for a schema that is none or refers to another document or endlessly to itself, and
    PatternTimeoutError where one of its patterns takes too long on the value.
    """
    if schema is None:
        return None
    try:
        error = jsonschema.exceptions.best_match(_validator(json.dumps(schema, sort_keys=True)).iter_errors(value))
    except (referencing.exceptions.Unresolvable, RecursionError) as unresolved:
        raise InvalidInputError(
            f"grader 'json_fields': a $ref of the schema cannot be followed ({type(unresolved).__name__} {unresolved}): "
            "refer only to what stands in the schema itself",
            field=FIELD,
        ) from unresolved
    return None if error is None else f"{error.json_path[:200]}: {error.message[:200]}"


@lru_cache(maxsize=256)
def _validator(schema_json: str) -> Validator:
    schema = json.loads(schema_json)
    cls = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        cls.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InvalidInputError(f"grader 'json_fields': not a JSON Schema: {error.message}", field=FIELD) from error
    bounded = jsonschema.validators.extend(
        cls,
        {
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
        },
    )
    return bounded(schema, registry=referencing.Registry())


def _pattern(validator: Validator, pattern: str, instance: Any, schema: Any) -> Violations:
    if validator.is_type(instance, "string") and not search(compiled(pattern, field=FIELD), instance):
        yield jsonschema.ValidationError(f"{instance[:100]!r} does not match {pattern!r}")


def _pattern_properties(validator: Validator, patterns: dict[str, Any], instance: Any, schema: Any) -> Violations:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        for name, member in instance.items():
            if search(compiled(pattern, field=FIELD), name):
                yield from validator.descend(member, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Validator, subschema: Any, instance: Any, schema: Any) -> Violations:
    if not validator.is_type(instance, "object"):
        return
    patterns = [compiled(pattern, field=FIELD) for pattern in schema.get("patternProperties", {})]
    for name, member in instance.items():
        if name in schema.get("properties", {}) or any(search(pattern, name) for pattern in patterns):
            continue
        if subschema is False:
            yield jsonschema.ValidationError(f"additional property {name[:100]!r} is not allowed")
        else:
            yield from validator.descend(member, subschema, path=name)
