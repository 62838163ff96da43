"""Endpoints that are not ours: hosted ones that refuse parameters, count requests and run out of quota; two hosts at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from integration.evaluation.chat_server import ChatServer, ask, serving
from unit.evaluation.questions import make_questions

from burnish.errors import InvalidInputError, PreconditionError
from burnish_client.evaluation.asking.ask import Side, ask_sides
from burnish_client.evaluation.request import Endpoint, Sampling

NO_SEED = "Unrecognized request argument supplied: seed"
NO_MAX_TOKENS = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)


async def test_a_refused_parameter_stops_the_run_and_says_what_to_do(tmp_path: Path) -> None:
    with serving(ChatServer(refused_parameters={"seed": NO_SEED})) as server:
        with pytest.raises(InvalidInputError, match=r"does not take the parameter 'seed'.*--without seed"):
            await ask(Endpoint(server.url), "m", make_questions(200), concurrency=4, out=tmp_path / "a.jsonl")
        assert server.requests < 20
    with (
        serving(ChatServer(refused_parameters={"max_tokens": NO_MAX_TOKENS})) as server,
        pytest.raises(InvalidInputError, match="--max-tokens-name max_completion_tokens"),
    ):
        await ask(Endpoint(server.url), "m", make_questions(1), out=tmp_path / "b.jsonl")


async def test_what_an_endpoint_does_not_take_is_not_sent(tmp_path: Path) -> None:
    picky = ChatServer(refused_parameters={"seed": NO_SEED, "max_tokens": NO_MAX_TOKENS, "temperature": "unknown"})
    with serving(picky) as server:
        endpoint = Endpoint(
            server.url, without=frozenset({"seed", "temperature"}), max_tokens_name="max_completion_tokens"
        )
        answers = await ask(endpoint, "m", make_questions(3), max_tokens=9, out=tmp_path / "a.jsonl")
    assert [answer.error for answer in answers] == [None] * 3
    assert all(set(body) == {"model", "messages", "max_completion_tokens"} for body in server.bodies)
    assert server.bodies[0]["max_completion_tokens"] == 9


async def test_a_value_that_is_refused_concerns_its_question_only(tmp_path: Path) -> None:
    with serving(ChatServer(refused_parameters={"max_tokens": "max_tokens is too large: 99999"})) as server:
        (answer,) = await ask(Endpoint(server.url), "m", make_questions(1), out=tmp_path / "a.jsonl")
    assert answer.error == "HTTP 400: max_tokens is too large: 99999"


async def test_a_foreign_400_about_one_prompt_is_its_row(tmp_path: Path) -> None:
    questions = make_questions(2)
    questions[0] = questions[0].model_copy(update={"prompt": "context"})
    with serving(ChatServer()) as server:
        answers = await ask(Endpoint(server.url), "m", questions, out=tmp_path / "a.jsonl")
    assert answers[0].error == "HTTP 400: maximum context length is 8 tokens"
    assert answers[1].text == "m: q0001"


async def test_no_quota_is_not_waited_for(tmp_path: Path) -> None:
    with serving(ChatServer(refuse_first=10_000, refusal_code="insufficient_quota")) as server:
        with pytest.raises(PreconditionError, match="no quota left"):
            await ask(Endpoint(server.url), "m", make_questions(50), concurrency=4, out=tmp_path / "a.jsonl")
        assert server.requests <= 4


async def test_rate_limit_headers_of_a_429_are_honoured(tmp_path: Path) -> None:
    spent = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
    with serving(ChatServer(refuse_first=1, refusal_headers=spent)) as server:
        started_at = time.monotonic()
        await ask(Endpoint(server.url, first_delay_seconds=0.001), "m", make_questions(1), out=tmp_path / "a.jsonl")
    assert time.monotonic() - started_at >= 0.3
    assert server.requests == 2


async def test_an_answer_that_says_the_limit_is_spent_holds_up_the_next(tmp_path: Path) -> None:
    spent = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "150ms"}
    with serving(ChatServer(headers=spent)) as server:
        started_at = time.monotonic()
        await ask(Endpoint(server.url), "m", make_questions(3), concurrency=1, out=tmp_path / "a.jsonl")
    assert time.monotonic() - started_at >= 0.3
    assert server.refused == 0


async def test_two_hosts_of_different_manners_answer_side_by_side(tmp_path: Path) -> None:
    with (
        serving(ChatServer(token="one")) as ours,
        serving(ChatServer(token="two", refused_parameters={"seed": NO_SEED}, delay_seconds=0.005)) as theirs,
    ):
        sides = [
            Side(Endpoint(ours.url, "one"), "base", tmp_path / "base.jsonl"),
            Side(Endpoint(theirs.url, "two", without=frozenset({"seed"})), "other", tmp_path / "other.jsonl"),
        ]
        base, other = await ask_sides(sides, make_questions(40), sampling=Sampling(), concurrency=8)
    assert [answer.text for answer in base] == [f"base: q{i:04d}" for i in range(40)]
    assert [answer.text for answer in other] == [f"other: q{i:04d}" for i in range(40)]
    assert base[0].sampling_digest != other[0].sampling_digest, "the digest is of what was sent"
