"""What no client sends: a table of values by place (path, query, body, field), and hypothesis strategies for more of them."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

IDS = [
    "..%5c..%5cetc", "%2e%2e%2fx", "%00", "a%00b", "%ff%fe", "%ed%a0%80", "%F0%9F%99%83", "%0d%0aX:1", "x" * 3000, "'%20or%201=1", "%25s%25n",
    "a@b", "@", ".", "..", "-1", "0" * 16, "%E2%80%AEgnp",
]  # fmt: skip
VALUES = ["", "%00", "-1", str(2**70), "1e400", "NaN", "%ed%a0%80", "x" * 5000, "..%5c", "%E2%80%AE", "true", "[]", "%ff"]  # fmt: skip
DEEP = b"[" * 900 + b"]" * 900
BODIES = [
    b"", b"null", b"[]", b"{", b"\xff\xfe", b"\x00", b'"\\ud800"', DEEP, b'{"a":' * 900 + b"1" + b"}" * 900, b"1e999", b"[" * 5000,
    json.dumps({"seed": 2**70}).encode(),
]  # fmt: skip
HOSTILE_VALUES: list[Any] = [
    2**70, -1, "", "\x00", "\ud800", "x" * 5000, "..\\x", "../x", None, [], {}, ["\x00"], ["l"] * 5000, True, 1e308, {"a": {"a": {}}},
]  # fmt: skip

# Single surrogates are in no valid UTF-8; callers write them in JSON as \ud800 all the same.
texts = st.text(max_size=40) | st.text(st.characters(categories=["Cs", "Cc", "Cf", "Lu"]), max_size=8)
numbers = st.integers() | st.sampled_from([2**31, 2**63, 2**64, 2**70, -(2**63) - 1]) | st.floats()
scalars = st.none() | st.booleans() | numbers | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
raw_bytes = st.binary(max_size=60)

Drawn = TypeVar("Drawn")


def drawn(strategy: st.SearchStrategy[Drawn], count: int, seed_number: int) -> list[Drawn]:
    """About `count` values of a strategy, the same ones for the same seed."""
    values: list[Drawn] = []

    @seed(seed_number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Drawn) -> None:
        values.append(value)

    collect()
    return values


def as_json(value: Any) -> bytes:
    """NaN and Infinity as Python spells them, single surrogates as escapes."""
    return json.dumps(value).encode()
