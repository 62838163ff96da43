"""Answers shared between runs: by model digest, sample, prompt and parameters, never one answer for two samples."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from unit.evaluation.chat_server import ChatServer
from unit.evaluation.conftest import make_questions

from burnish.errors import CorruptDataError
from burnish_client.evaluation import (
    Answer,
    AnswerCache,
    Endpoint,
    Progress,
    Sampling,
    Side,
    ask,
    ask_sides,
    model_digest_of,
)
from burnish_client.evaluation.cache import cache_key, is_repeatable

BASE = "sha256:aa"


def answer(number: int, **fields: object) -> Answer:
    base = {"model": "m", "question_id": f"q{number}", "sample": 0, "prompt_digest": "p", "sampling_digest": "s"}
    return Answer.model_validate({**base, "text": f"answer {number}", **fields})


async def test_a_second_adapter_does_not_ask_the_base_again(server: ChatServer, tmp_path: Path) -> None:
    endpoint, questions = Endpoint(server.url), make_questions(10)
    with AnswerCache(tmp_path / "answers") as cache:
        for version in ("v1", "v2"):
            sides = [
                Side(endpoint, "base", tmp_path / version / "base.jsonl", samples=2, digest=BASE),
                Side(endpoint, version, tmp_path / version / "c.jsonl", digest=model_digest_of(BASE, version)),
            ]
            base, candidate = await ask_sides(sides, questions, sampling=Sampling(), cache=cache)
    assert server.served.total() == 20 + 10 + 10
    assert all(a.reused for a in base)
    assert not any(a.reused for a in candidate)
    assert [a.text for a in base[::2]] == [f"base: q{i:04d}" for i in range(10)]


async def test_two_sides_that_ask_the_same_get_an_answer_each(server: ChatServer, tmp_path: Path) -> None:
    endpoint, questions = Endpoint(server.url), make_questions(5)
    with AnswerCache(tmp_path) as cache:
        for run in range(2):
            sides = [Side(endpoint, "m", tmp_path / f"{run}{side}.jsonl", digest=BASE) for side in range(2)]
            first, second = await ask_sides(sides, questions, sampling=Sampling(), cache=cache)
            assert server.served.total() == 10 + 5 * run
    assert [a.reused for a in first] == [True] * 5
    assert [a.reused for a in second] == [False] * 5


async def test_samples_models_prompts_and_parameters_are_told_apart(server: ChatServer, tmp_path: Path) -> None:
    endpoint, questions = Endpoint(server.url), make_questions(2)
    changed = [q.model_copy(update={"prompt": q.question_id + "!"}) for q in questions]
    with AnswerCache(tmp_path) as cache:
        await ask(endpoint, "m", questions, out=tmp_path / "1", digest=BASE, cache=cache)
        await ask(endpoint, "m", questions, out=tmp_path / "2", digest=BASE, cache=cache, samples=2)
        assert server.requests == 4
        await ask(endpoint, "m", questions, out=tmp_path / "3", digest="sha256:bb", cache=cache)
        await ask(endpoint, "m", questions, out=tmp_path / "4", digest=BASE, cache=cache, max_tokens=9)
        await ask(endpoint, "m", changed, out=tmp_path / "5", digest=BASE, cache=cache)
        assert server.requests == 10
        await ask(endpoint, "m", changed, out=tmp_path / "6", cache=cache)
        assert server.requests == 12, "without a digest only the name is known: nothing is shared"


async def test_what_is_drawn_without_a_seed_is_not_shared(server: ChatServer, tmp_path: Path) -> None:
    endpoint, questions = Endpoint(server.url, without=frozenset({"seed"})), make_questions(2)
    with AnswerCache(tmp_path) as cache:
        for run in range(2):
            out = tmp_path / f"{run}.jsonl"
            await ask(endpoint, "m", questions, out=out, temperature=0.7, digest=BASE, cache=cache)
    assert server.requests == 4
    assert is_repeatable({"temperature": 0.7, "seed": 0})
    assert is_repeatable({"temperature": 0.0})
    assert not is_repeatable({})


async def test_reused_answers_are_told_in_the_progress_and_logged(server: ChatServer, tmp_path: Path) -> None:
    endpoint, seen = Endpoint(server.url), list[Progress]()
    with AnswerCache(tmp_path) as cache:
        await ask(endpoint, "m", make_questions(3), out=tmp_path / "1", digest=BASE, cache=cache)
        out = tmp_path / "2"
        await ask(endpoint, "m", make_questions(4), out=out, digest=BASE, cache=cache, progress=seen.append)
    assert seen[0] == Progress(done=3, total=4, errors=0, seconds_left=None, reused=3)
    assert (seen[-1].done, seen[-1].reused) == (4, 3)
    resumed = await ask(endpoint, "m", make_questions(4), out=out)
    assert [a.reused for a in resumed] == [True, True, True, False]
    assert server.requests == 4


async def test_errors_are_not_shared(server: ChatServer, tmp_path: Path) -> None:
    questions = [make_questions(1)[0].model_copy(update={"prompt": "too long"})]
    with AnswerCache(tmp_path) as cache:
        for run in range(2):
            await ask(Endpoint(server.url), "m", questions, out=tmp_path / str(run), digest=BASE, cache=cache)
    assert server.requests == 2


def test_the_first_answer_stays(tmp_path: Path) -> None:
    key = cache_key(BASE, 0, "p", "s")
    with AnswerCache(tmp_path) as cache:
        cache.put(key, answer(1))
        cache.put(key, answer(2))
    with AnswerCache(tmp_path) as cache:
        assert cache.get(key) == answer(1)
        assert cache.get(cache_key(BASE, 1, "p", "s")) is None


def test_several_writers_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:  # a connection each, as two processes have
        list(pool.map(partial(write_hundred, tmp_path), (0, 50)))
    with AnswerCache(tmp_path) as cache:
        assert all(cache.get(str(number)) == answer(number) for number in range(150))


def write_hundred(folder: Path, first: int) -> None:
    with AnswerCache(folder) as cache:
        for number in range(first, first + 100):
            cache.put(str(number), answer(number))


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(CorruptDataError, match=r"answers\.sqlite3 is no cache of answers"):
        AnswerCache(tmp_path).__enter__()
