"""References inside a JSON schema: each leads to a place of that schema, and no chain of them comes back to the same value."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import referencing
import referencing.jsonschema

from burnish.errors import InvalidInputError

REFERENCES = ("$ref", "$dynamicRef")
# Keywords whose schemas are applied to the same value, not to a part of it.
IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")


def check_references(schema: dict[str, Any], dialect: str, field: str) -> list[str]:
    """The schema's patterns, all of them. Raises InvalidInputError for a reference that cannot be followed, or without end."""
    specification = referencing.jsonschema.specification_with(dialect)
    root = specification.create_resource(schema)
    same_value = TopologicalSorter[int]()
    patterns: list[str] = []
    seen: set[int] = set()
    todo = [(schema, referencing.Registry().resolver_with_root(root))]
    try:
        while todo:
            one, resolver = todo.pop()
            if not isinstance(one, dict) or id(one) in seen:
                continue
            seen.add(id(one))
            same_value.add(id(one), *map(id, _in_place(one)))
            for keyword in REFERENCES:
                if isinstance(one.get(keyword), str):
                    target = resolver.lookup(one[keyword])
                    same_value.add(id(one), id(target.contents))
                    todo.append((target.contents, target.resolver))
            patterns += _patterns(one)
            for part in specification.create_resource(one).subresources():
                todo.append((part.contents, resolver.in_subresource(part)))
        same_value.prepare()
    except CycleError:
        raise _refused("the schema refers to itself without end", field) from None
    except referencing.exceptions.Unresolvable as error:
        raise _refused(f"{error}", field) from error
    return patterns


def _refused(why: str, field: str) -> InvalidInputError:
    return InvalidInputError(
        f"grader 'json_fields': a $ref of the schema cannot be followed ({why[:200]}): refer only to what stands in the schema itself",
        field=field,
    )


def _in_place(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for keyword in IN_PLACE:
        value = schema.get(keyword)
        if isinstance(value, dict) and keyword != "dependentSchemas":
            yield value
        elif isinstance(value, (list, dict)):
            yield from (one for one in (value if isinstance(value, list) else value.values()) if isinstance(one, dict))


def _patterns(schema: dict[str, Any]) -> list[str]:
    found = list(schema.get("patternProperties", ()))
    return [*found, schema["pattern"]] if isinstance(schema.get("pattern"), str) else found
