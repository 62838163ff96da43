"""The eval client against a real server: interleaving, pace, retries, errors that concern one question or all."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from integration.evaluation.chat_server import ChatServer, ask, serving
from unit.evaluation.questions import make_questions

from burnish.errors import (
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from burnish.objectstores.seaweedfs import Ports
from burnish.schemas.base import Message
from burnish_client.evaluation.asking.ask import Progress, Side, ask_sides
from burnish_client.evaluation.asking.chat import ChatClient
from burnish_client.evaluation.asking.pace import LOCAL_START
from burnish_client.evaluation.request import Endpoint, Sampling


async def test_every_question_and_sample_is_asked_once(server: ChatServer, tmp_path: Path) -> None:
    questions = make_questions(20)
    answers = await ask(Endpoint(server.url), "good", questions, samples=3, out=tmp_path / "a.jsonl", seed=10)
    assert [(a.question_id, a.sample) for a in answers] == [(q.question_id, s) for q in questions for s in range(3)]
    assert server.served == {("good", q.question_id, 10 + s): 1 for q in questions for s in range(3)}
    assert answers[0].text == "good: q0000"
    assert (answers[0].prompt_tokens, answers[0].completion_tokens, answers[0].finish_reason) == (7, 3, "stop")
    assert all(a.latency_ms and a.latency_ms > 0 for a in answers)


async def test_sides_are_interleaved_question_by_question(server: ChatServer, tmp_path: Path) -> None:
    endpoint = Endpoint(server.url + "/v1/")
    sides = [Side(endpoint, name, tmp_path / f"{name}.jsonl") for name in ("base", "candidate")]
    await ask_sides(sides, make_questions(10), sampling=Sampling(), concurrency=1)
    expected = [(name, f"q{i:04d}") for i in range(10) for name in ("base", "candidate")]
    assert server.order == expected


async def test_request_carries_the_parameters(server: ChatServer, tmp_path: Path) -> None:
    sampling = Sampling(max_tokens=50, temperature=0.5, seed=None, extra={"response_format": {"type": "json_object"}})
    questions = [*make_questions(1), *make_questions(2, max_tokens=9)[1:]]
    side = Side(Endpoint(server.url), "m", tmp_path / "a.jsonl")
    await ask_sides([side], questions, sampling=sampling, concurrency=1)
    assert server.bodies[0] == {
        "model": "m",
        "messages": [{"role": "user", "content": "q0000"}],
        "max_tokens": 50,
        "temperature": 0.5,
        "response_format": {"type": "json_object"},
    }
    assert server.bodies[1]["max_tokens"] == 9


async def test_concurrency_is_bounded_and_used(server: ChatServer, tmp_path: Path) -> None:
    server.delay_seconds = 0.02
    await ask(Endpoint(server.url), "m", make_questions(40), concurrency=8, out=tmp_path / "a.jsonl")
    assert server.peak_in_flight == 8


async def test_storm_of_429_is_weathered_and_the_pace_falls(tmp_path: Path) -> None:
    with serving(ChatServer(most_in_flight=2, delay_seconds=0.005, refusal_headers={"Retry-After": "0"})) as server:
        answers = await ask(Endpoint(server.url), "m", make_questions(60), concurrency=16, out=tmp_path / "a.jsonl")
    assert [a.error for a in answers] == [None] * 60
    assert set(server.served.values()) == {1}
    assert 0 < server.refused < 300


async def test_retry_after_is_honoured_by_everyone(tmp_path: Path) -> None:
    with serving(ChatServer(refuse_first=4, refusal_headers={"Retry-After": "1"})) as server:
        started = time.monotonic()
        answers = await ask(Endpoint(server.url), "m", make_questions(8), concurrency=4, out=tmp_path / "a.jsonl")
    assert time.monotonic() - started >= 1.0
    assert all(a.text for a in answers)
    assert server.refused == 4


async def test_too_long_a_retry_after_stops_the_run(tmp_path: Path) -> None:
    refusing = ChatServer(refuse_first=1, refusal_headers={"Retry-After": "86400"})
    with serving(refusing) as server, pytest.raises(UnavailableError, match="86400 s"):
        await ask(Endpoint(server.url), "m", make_questions(1), out=tmp_path / "a.jsonl")


async def test_5xx_at_first_is_retried(tmp_path: Path) -> None:
    with serving(ChatServer(refuse_first=2, refusal_status=503)) as server:
        answers = await ask(Endpoint(server.url), "m", make_questions(3), concurrency=1, out=tmp_path / "a.jsonl")
    assert [a.error for a in answers] == [None] * 3


async def test_a_training_job_that_has_the_device_is_waited_for(tmp_path: Path) -> None:
    """More often than there are attempts: it is no failure, and no reason to ask more slowly."""
    lent = ChatServer(
        refuse_first=60, refusal_status=503, refusal_code="device_lent", refusal_headers={"Retry-After": "0.01"}
    )
    with serving(lent) as server:
        endpoint = Endpoint(server.url, attempts=2)
        async with ChatClient(endpoint, concurrency=8) as client:
            asked = [client.complete("m", [Message(role="user", content=f"q{n}")], {}) for n in range(4)]
            replies = await asyncio.gather(*asked)
            assert client.pace.limit >= 8
    assert [reply.text for reply in replies] == [f"m: q{n}" for n in range(4)]
    assert lent.refused == 60


async def test_an_error_of_one_question_is_a_row(server: ChatServer, tmp_path: Path) -> None:
    good, long, malformed = make_questions(3)
    long = long.model_copy(update={"prompt": "too long"})
    malformed = malformed.model_copy(update={"prompt": "malformed"})
    log = tmp_path / "a.jsonl"
    answers = await ask(Endpoint(server.url), "m", [good, long, malformed], out=log)
    assert answers[0].text == "m: q0000"
    assert answers[1].error == "HTTP 400: the prompt has 9999 tokens, 2048 are allowed"
    assert answers[2].error is not None
    assert "not a chat completion" in answers[2].error
    before = server.requests
    await ask(Endpoint(server.url), "m", [good, long, malformed], out=log)
    assert server.requests - before == 2, "errors are asked again, answers are not"


async def test_a_question_that_always_fails_is_a_row_while_others_answer(server: ChatServer, tmp_path: Path) -> None:
    questions = make_questions(30)
    questions[0] = questions[0].model_copy(update={"prompt": "broken"})
    endpoint = Endpoint(server.url, attempts=3, first_delay_seconds=0.01)
    answers = await ask(endpoint, "m", questions, concurrency=4, out=tmp_path / "a.jsonl")
    assert answers[0].error is not None
    assert answers[0].error.startswith("given up after several attempts: HTTP 500")
    assert all(a.text for a in answers[1:])


async def test_what_concerns_all_questions_is_raised(tmp_path: Path) -> None:
    with serving(ChatServer(token="right")) as server:
        with pytest.raises(UnauthenticatedError):
            await ask(Endpoint(server.url, "wrong"), "m", make_questions(300), out=tmp_path / "a.jsonl")
        with pytest.raises(NotFoundError, match="no model unknown"):
            await ask(Endpoint(server.url, "right"), "unknown", make_questions(300), out=tmp_path / "b.jsonl")
        assert server.requests <= 2 * LOCAL_START, "each stops with what was under way"
        assert "right" not in repr(Endpoint(server.url, "right"))


async def test_dead_endpoint_is_unavailable(tmp_path: Path) -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{Ports.pick().s3}", first_delay_seconds=0.001)
    with pytest.raises(UnavailableError, match="gives no answers, last: ConnectError"):
        await ask(endpoint, "m", make_questions(3), out=tmp_path / "a.jsonl")


async def test_endpoint_that_answers_every_question_with_500_is_given_up(tmp_path: Path) -> None:
    with serving(ChatServer(refuse_first=10_000, refusal_status=500)) as server:
        endpoint = Endpoint(server.url, attempts=2, first_delay_seconds=0.001)
        with pytest.raises(UnavailableError, match="HTTP 500"):
            await ask(endpoint, "m", make_questions(500), concurrency=4, out=tmp_path / "a.jsonl")
        assert server.requests < 50


async def test_a_question_that_times_out_twice_is_a_row(tmp_path: Path) -> None:
    with serving(ChatServer(delay_seconds=0.5)) as server:
        endpoint = Endpoint(server.url, timeout_seconds=0.1, first_delay_seconds=0.001)
        (answer,) = await ask(endpoint, "m", make_questions(1), out=tmp_path / "a.jsonl")
    assert answer.error is not None
    assert "no answer within 0.1 s" in answer.error
    assert server.requests == 2


async def test_progress_counts_up_and_estimates(server: ChatServer, tmp_path: Path) -> None:
    seen: list[Progress] = []
    log = tmp_path / "a.jsonl"
    await ask(Endpoint(server.url), "m", make_questions(5), out=log, concurrency=1, progress=seen.append)
    assert [p.done for p in seen] == [0, 1, 2, 3, 4, 5]
    assert seen[0].seconds_left is None
    assert all(p.total == 5 and p.errors == 0 for p in seen)
    assert seen[-1].seconds_left == 0
    seen.clear()
    await ask(Endpoint(server.url), "m", make_questions(5), out=log, progress=seen.append)
    assert seen == [Progress(5, 5, 0, None)]


async def test_other_parameters_or_prompts_are_asked_anew(server: ChatServer, tmp_path: Path) -> None:
    log, endpoint, questions = tmp_path / "a.jsonl", Endpoint(server.url), make_questions(2)
    await ask(endpoint, "m", questions, out=log)
    await ask(endpoint, "m", questions, out=log, temperature=0.7)
    await ask(endpoint, "m2", questions, out=log)
    changed = [q.model_copy(update={"prompt": q.question_id + "!"}) for q in questions]
    answers = await ask(endpoint, "m", changed, out=log)
    assert server.requests == 8
    assert answers[0].text == "m: q0000!"


async def test_duplicate_question_ids_are_refused(server: ChatServer, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="'q0000' is in the benchmark twice"):
        await ask(Endpoint(server.url), "m", make_questions(1) * 2, out=tmp_path / "a.jsonl")
