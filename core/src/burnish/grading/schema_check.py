"""JSON Schema for the json_fields grader."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

from burnish.errors import InvalidInputError


def schema_violation(value: Any, schema: dict[str, Any] | None) -> str | None:
    """The most telling violation as a sentence, or None where there is none or no schema. Raises InvalidInputError for a schema that is none."""
    if schema is None:
        return None
    error = jsonschema.exceptions.best_match(_validator(json.dumps(schema, sort_keys=True)).iter_errors(value))
    return None if error is None else f"{error.json_path}: {error.message[:200]}"


@lru_cache(maxsize=256)
def _validator(schema_json: str) -> Validator:
    schema = json.loads(schema_json)
    cls = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        cls.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InvalidInputError(
            f"grader 'json_fields': not a JSON Schema: {error.message}", field="grader.args.json_schema"
        ) from error
    return cls(schema)
