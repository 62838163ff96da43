"""Grader: the answer is a JSON object with the right values in the right fields."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Literal

from burnish.errors import InvalidInputError
from burnish.grading.field_rules import FieldRule, matches
from burnish.grading.json_schema.check import check_schema, schema_violation
from burnish.grading.patterns import GradingLimitError, check_time, time_limit
from burnish.grading.reading.json_text import FoundObject, JsonProblem, find_object, too_deep
from burnish.grading.registry import Grade, failing, grader, passing, skipping

FieldOutcome = Literal["right", "right-value-wrong-field", "missing-field", "wrong-value"]
MISPLACED: FieldOutcome = "right-value-wrong-field"
WORST_FIRST: tuple[FieldOutcome, ...] = (MISPLACED, "missing-field", "wrong-value")


def _check(
    expected: str, *, fields: dict[str, FieldRule] | None, json_schema: dict[str, Any] | None, **_: object
) -> None:
    wanted = _expected_object(expected)
    if wanted is not None:
        _rules(fields, wanted)
    if json_schema is not None:
        check_schema(json_schema)


@partial(grader, check=_check)
def json_fields(
    answer: str,
    expected: str,
    *,
    fields: dict[str, FieldRule] | None = None,
    json_schema: dict[str, Any] | None = None,
    strict: bool = True,
) -> Grade:
    """The answer is a JSON object whose fields hold the expected values; the score is the share of fields that are right.

    expected: a JSON object. fields: name -> rule, one of exact, normalised, contains, number, unordered, present
    (see burnish.grading.field_rules); without it every field of `expected` is compared by `exact`.
    strict (default): nothing around the object (`json-in-prose`) and no field beyond those expected (`extra-field`);
    else the first object in the text counts and extra fields are ignored. json_schema: a JSON Schema the object must meet.

    Labels, the first that holds: not-json, json-cut-off, nested-too-deep, not-an-object, duplicate-key, json-in-prose,
    right-value-wrong-field (an expected value stands under another field: said even where the schema is not met
    either, since it is the cause), schema-mismatch, missing-field, wrong-value, extra-field.
    """
    wanted = _expected_object(expected)
    if wanted is None:
        return skipping("the expected answer is not a JSON object (of at most 100 levels)")
    rules = _rules(fields, wanted)
    found = find_object(answer)
    if isinstance(found, JsonProblem):
        return failing(found.label, found.detail)
    try:
        with time_limit():
            return _compared(found, wanted, rules, json_schema, strict)
    except GradingLimitError as error:
        return skipping(str(error))


def _compared(
    found: FoundObject,
    wanted: dict[str, Any],
    rules: dict[str, FieldRule],
    json_schema: dict[str, Any] | None,
    strict: bool,
) -> Grade:
    outcomes = {name: _outcome(name, rule, rules, wanted, found.value) for name, rule in rules.items()}
    score = sum(outcome == "right" for outcome in outcomes.values()) / len(outcomes) if outcomes else 1.0
    if strict and found.surrounded:
        return failing("json-in-prose", "there is text or a code fence around the object", score)
    violation = schema_violation(found.value, json_schema)
    for label in WORST_FIRST:
        wrong = [name for name, outcome in outcomes.items() if outcome == label]
        if wrong and (violation is None or label == MISPLACED):
            return failing(label, _describe(wrong, wanted, found.value), score)
    if violation:
        return failing("schema-mismatch", violation, score)
    extra = sorted(set(found.value) - set(rules) - set(wanted))
    if strict and extra:
        return failing("extra-field", f"not asked for: {', '.join(extra)}", score)
    return passing(f"{len(outcomes)} of {len(outcomes)} fields", score)


def _rules(fields: dict[str, FieldRule] | None, wanted: dict[str, Any]) -> dict[str, FieldRule]:
    rules: dict[str, FieldRule] = fields if fields is not None else dict.fromkeys(wanted, "exact")
    absent = sorted(name for name, rule in rules.items() if rule != "present" and name not in wanted)
    if absent:
        raise InvalidInputError(
            f"grader 'json_fields': field {absent[0]!r} is not in the expected answer, which has {sorted(wanted)}",
            field="grader.args.fields",
        )
    return rules


def _expected_object(expected: str) -> dict[str, Any] | None:
    try:
        value = json.loads(expected)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not too_deep(value) else None


def _outcome(
    name: str, rule: FieldRule, rules: dict[str, FieldRule], wanted: dict[str, Any], got: dict[str, Any]
) -> FieldOutcome:
    if name in got and (rule == "present" or matches(rule, got[name], wanted[name])):
        return "right"
    if rule != "present" and _stands_elsewhere(name, rule, wanted, got):
        return MISPLACED
    return "wrong-value" if name in got else "missing-field"


def _stands_elsewhere(name: str, rule: FieldRule, wanted: dict[str, Any], got: dict[str, Any]) -> bool:
    """Whether another field holds this field's value, without being right to hold it itself."""
    for other, value in got.items():
        check_time()
        if other == name or not matches(rule, value, wanted[name]):
            continue
        if other not in wanted or not matches("exact", value, wanted[other]):
            return True
    return False


def _describe(names: list[str], wanted: dict[str, Any], got: dict[str, Any]) -> str:
    missing = object()
    parts = []
    for name in names:
        value = got.get(name, missing)
        actual = "nothing" if value is missing else _short(value)
        parts.append(f"{name}: expected {_short(wanted.get(name))}, got {actual}")
    return "; ".join(parts)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()
    return text if len(text) <= 80 else text[:77] + "…"
