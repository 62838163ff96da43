"""How one field of a JSON answer is compared with the expected value."""

from __future__ import annotations

import json
from typing import Any, Literal

from burnish.grading.text import canonical, fold, normalise, stands_in

FieldRule = Literal["exact", "normalised", "contains", "number", "unordered", "present"]


def matches(rule: FieldRule, got: Any, wanted: Any) -> bool:
    """Whether a value meets a rule.

    exact: equal JSON values (1 equals 1.0, but true does not equal 1; strings by character; objects in any key order).
    normalised: strings equal after burnish.grading.text.normalise. contains: a string that holds the expected one, case
    folded, and not inside a longer word or number. number: a number, or a string of one, equal as a double. unordered: lists with equal elements in any order.
    present: anything at all.
    """
    if rule == "present":
        return True
    if rule == "normalised":
        return isinstance(got, str) and isinstance(wanted, str) and normalise(got) == normalise(wanted)
    if rule == "contains":
        return isinstance(got, str) and isinstance(wanted, str) and stands_in(fold(wanted), fold(got))
    if rule == "number":
        return _as_number(got) is not None and _as_number(got) == _as_number(wanted)
    if rule == "unordered":
        return (
            isinstance(got, list) and isinstance(wanted, list) and sorted(map(_key, got)) == sorted(map(_key, wanted))
        )
    return _key(got) == _key(wanted)


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _key(value: Any) -> str:
    """A text that is equal exactly for equal JSON values."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {canonical(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, str):
        return canonical(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
