"""One line to one RunLogLine: the hot path gives the answers that RunLogLine and a strict JSON parser give."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from runlog_making import run

from burnish.runlogs.parsing import RejectedError, parse_line, parse_object
from burnish.schemas.runlog import RunLogLine


def reason(text: str | bytes) -> str:
    with pytest.raises(RejectedError) as caught:
        parse_line(text.encode() if isinstance(text, str) else text)
    return str(caught.value)


def with_field(text: str) -> str:
    """A good line with one more member, spelled as given."""
    return json.dumps(run())[:-1] + ", " + text + "}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[1, 2]", "not a JSON object but an array"),
        ('"text"', "not a JSON object but a string"),
        ("null", "not a JSON object but null"),
        ("true", "not a JSON object but true or false"),
        ("12", "not a JSON object but a number"),
        ('{"question_id": "q1", "ques', "not JSON: "),
        (b'{"question_id": "\xff"}', "not UTF-8: byte 0xff at column 18"),
        (with_field('"latency_ms": NaN'), "not JSON: "),
        (with_field('"cost": Infinity'), "not JSON: "),
        (with_field('"cost": 1e999'), "not JSON: "),
        (with_field('"x": "\\ud800"'), "not JSON: "),
        (with_field('"question": "again"'), "key 'question' stands twice"),
        (with_field('"x": {"a": 1, "a": 2}'), "key 'a' stands twice"),
        (with_field('"x": 1, "\\u0078" : 2'), "key 'x' stands twice"),
        (with_field('"x": ' + "[" * 70 + "]" * 70), "nested deeper than 64 levels"),
        (with_field('"x": ' + "[" * 5000 + "]" * 5000), "not JSON: "),
        (with_field(f'"x": {"9" * 5000}'), "not JSON"),
        (json.dumps(run(grade="")), "grade: String should have at least 1 character"),
        (json.dumps(run(answer={})), "answer: Input should be a valid string"),
        (json.dumps(run(retrieval_hit="perhaps")), "retrieval_hit: Input should be a valid boolean"),
        (json.dumps(run(messages=[{"role": "robot", "content": "x"}])), "messages.0.role: Input should be"),
        (json.dumps({}), "question_id: Field required; question: Field required; answer: Field required; and 1 more"),
    ],
)
def test_a_bad_line_says_why(line: str | bytes, expected: str) -> None:
    assert expected in reason(line)


def test_unknown_keys_and_big_integers_are_kept_exactly() -> None:
    line = parse_line(with_field('"trace": {"id": 123456789012345678901234567890, "tags": ["a"]}').encode())
    assert line.__pydantic_extra__ == {"trace": {"id": 123456789012345678901234567890, "tags": ["a"]}}


def test_text_that_looks_like_keys_is_no_duplicate() -> None:
    """JSON inside an answer, a value that equals a key, colons after quotes."""
    text = '{"question": "a", "question": "b"} and \\":" : ok'
    assert parse_line(json.dumps(run(answer=text, failure_label="question")).encode()).answer == text


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*RunLogLine.model_fields, "tenant", "trace", ""])
LINES = st.dictionaries(FIELDS, JSON_VALUES, max_size=6).map(lambda changes: run() | changes)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, st.booleans())
def test_accepts_what_the_schema_accepts(fields: dict[str, Any], escape: bool) -> None:
    text = json.dumps(fields, ensure_ascii=escape)
    try:
        expected = RunLogLine.read(json.loads(text, parse_constant=_refuse))
    except (ValidationError, ValueError):
        reason(text)
        return
    assert parse_line(text.encode()) == expected


def _refuse(constant: str) -> None:
    raise ValueError(constant)


KEYS = st.text(alphabet='ab":\\ \t', max_size=3)
SPACE = st.sampled_from(["", " ", "\t"])


@settings(max_examples=500)
@given(st.lists(st.tuples(KEYS, SPACE, st.integers(0, 9) | KEYS, st.booleans()), min_size=1, max_size=5))
def test_no_duplicate_key_slips_through(members: list[tuple[str, str, Any, bool]]) -> None:
    """Against every spelling of keys, escaped or not, with white space or without."""
    text = "{" + ",".join(f"{_spell(k, escape)}{space}:{json.dumps(v)}" for k, space, v, escape in members) + "}"
    if len({key for key, *_ in members}) == len(members):
        assert parse_object(text.encode()) == {key: value for key, _, value, _ in members}
    else:
        with pytest.raises(RejectedError, match="stands twice"):
            parse_object(text.encode())


def _spell(key: str, escape: bool) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" for c in key) + '"' if escape else json.dumps(key)
