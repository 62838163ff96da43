"""What one request may ask of the engine."""

from __future__ import annotations

import pytest

from burnish.errors import InvalidInputError
from burnish_inference.limits import CHAT, Limits

COMPLETIONS = "/v1/completions"
LIMITS = Limits(max_choices=8, default_max_tokens=100)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"n": 9}, "n"),
        ({"n": 200}, "n"),
        ({"n": 0}, "n"),
        ({"n": -1}, "n"),
        ({"n": "200"}, "n"),  # which vLLM would take for 200
        ({"n": 200.0}, "n"),
        ({"n": True}, "n"),
        ({"prompt": ["a"] * 9}, "prompt"),
        ({"prompt": [[1, 2]] * 9}, "prompt"),
        ({"prompt": ["a", "b", "c"], "n": 3}, "n"),
    ],
)
def test_more_answers_than_the_limit_are_refused_with_the_limit(body: dict, field: str) -> None:
    with pytest.raises(InvalidInputError, match=r"\b8\b") as refused:
        LIMITS.apply(COMPLETIONS, body)
    assert refused.value.metadata["field"] == field


@pytest.mark.parametrize(
    "body", [{}, {"n": None}, {"n": 8}, {"prompt": ["a"] * 8}, {"prompt": [1] * 2000, "n": 8}, {"prompt": []}]
)
def test_what_is_within_the_limit_stays_as_it_is(body: dict) -> None:
    before = dict(body)
    LIMITS.apply(COMPLETIONS, body)
    assert body == before


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, {"max_completion_tokens": 100}),
        ({"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": 100}),
        ({"max_tokens": 900}, {"max_tokens": 900}),
        ({"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
    ],
)
def test_a_chat_without_a_length_gets_the_default(body: dict, tokens: dict) -> None:
    LIMITS.apply(CHAT, body)
    assert body == tokens


def test_what_vllms_own_servers_tell_each_other_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="kv_transfer_params"):
        LIMITS.apply(CHAT, {"vllm_xargs": {"kv_transfer_params": "x"}})
    LIMITS.apply(CHAT, {"vllm_xargs": {"my_plugin": 1}})
