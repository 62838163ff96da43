"""JSON Schema for the json_fields grader: no network, no unbounded regular expression, no endless reference, an end in time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import referencing
from jsonschema.protocols import Validator

from burnish.caches import SizedCache
from burnish.errors import InvalidInputError
from burnish.grading.json_schema.references import check_references
from burnish.grading.patterns import GradingLimitError, check_time, compiled, count_violation, search
from burnish.grading.reading.json_text import MAX_DEPTH, too_deep

FIELD = "grader.args.json_schema"
Violations = Iterator[jsonschema.ValidationError]
CACHED_CHARACTERS = 1_000_000  # of schemas; their validators take ten times as much
_validators: SizedCache[Validator] = SizedCache(CACHED_CHARACTERS)
Keyword = Callable[[Validator, Any, Any, Any], Any]


def check_schema(schema: dict[str, Any]) -> None:
    """Raises InvalidInputError for a schema that is none, has a bad pattern, or refers to another document or endlessly to itself."""
    _validator(_written(schema))


def schema_violation(value: Any, schema: dict[str, Any] | None) -> str | None:
    """The most telling violation as a sentence, or None where there is none or no schema.

    Raises InvalidInputError as check_schema does, and GradingLimitError where the value takes too long. Call it under `time_limit`.
    """
    if schema is None:
        return None
    validator = _validator(_written(schema))
    try:
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    except RecursionError:
        raise GradingLimitError("the answer is nested too deep for its schema's references to be followed") from None
    return None if error is None else f"{error.json_path[:200]}: {error.message[:200]}"


def _written(schema: dict[str, Any]) -> str:
    if too_deep(schema):
        raise InvalidInputError(
            f"grader 'json_fields': the schema has over {MAX_DEPTH} levels: flatten it", field=FIELD
        )
    return json.dumps(schema, sort_keys=True)


def _validator(schema_json: str) -> Validator:
    return _validators.get(schema_json, lambda: _compile(schema_json), lambda _: len(schema_json))


def _compile(schema_json: str) -> Validator:
    schema = json.loads(schema_json)
    if not isinstance(schema.get("$schema", ""), str):
        raise InvalidInputError(
            "grader 'json_fields': not a JSON Schema: `$schema` is the address of a draft, as text", field=FIELD
        )
    cls = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        cls.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InvalidInputError(
            f"grader 'json_fields': not a JSON Schema: {error.message[:200]}", field=FIELD
        ) from error
    except (RecursionError, OverflowError, ValueError) as error:  # of `re`: parentheses in parentheses, a huge count
        raise InvalidInputError(
            "grader 'json_fields': a pattern of the schema is nested too deep, or has too large a count", field=FIELD
        ) from error
    for pattern in check_references(schema, cls.META_SCHEMA["$id" if "$id" in cls.META_SCHEMA else "id"], FIELD):
        compiled(pattern, field=FIELD)
    ours: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    bounded = jsonschema.validators.extend(
        cls, {name: _in_time(keyword) for name, keyword in {**cls.VALIDATORS, **ours}.items()}
    )
    return bounded(schema, registry=referencing.Registry())


def _in_time(keyword: Keyword) -> Keyword:
    def check(validator: Validator, value: Any, instance: Any, schema: Any) -> Any:
        check_time()
        for violation in keyword(validator, value, instance, schema) or ():
            count_violation()
            yield violation

    return check


def _pattern(validator: Validator, pattern: str, instance: Any, schema: Any) -> Violations:
    if validator.is_type(instance, "string") and not search(compiled(pattern, field=FIELD), instance):
        yield jsonschema.ValidationError(f"{instance[:100]!r} does not match {pattern!r}")


def _pattern_properties(validator: Validator, patterns: dict[str, Any], instance: Any, schema: Any) -> Violations:
    if not validator.is_type(instance, "object"):
        return
    for pattern, subschema in patterns.items():
        for name, member in instance.items():
            check_time()
            if search(compiled(pattern, field=FIELD), name):
                yield from validator.descend(member, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Validator, subschema: Any, instance: Any, schema: Any) -> Violations:
    if not validator.is_type(instance, "object"):
        return
    patterns = [compiled(pattern, field=FIELD) for pattern in schema.get("patternProperties", {})]
    for name, member in instance.items():
        check_time()
        if name in schema.get("properties", {}) or any(search(pattern, name) for pattern in patterns):
            continue
        if subschema is False:
            yield jsonschema.ValidationError(f"additional property {name[:100]!r} is not allowed")
        else:
            yield from validator.descend(member, subschema, path=name)


def _unique_items(validator: Validator, wanted: bool, instance: Any, schema: Any) -> Violations:
    """By one text an item: jsonschema's own compares every two of them."""
    if not wanted or not validator.is_type(instance, "array"):
        return
    if len({json.dumps(_plain(item), sort_keys=True) for item in instance}) < len(instance):
        yield jsonschema.ValidationError("the list has an item twice")


def _plain(value: Any) -> Any:
    """1.0 is 1 in JSON Schema, and true is not 1."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
