"""Answers shared between runs: by model digest, sample, prompt and parameters, never one answer for two samples."""

from __future__ import annotations

from pathlib import Path

from integration.evaluation.chat_server import ChatServer, ask
from unit.evaluation.questions import make_questions

from burnish_client.evaluation.asking.answers import AnswerCache, model_digest_of
from burnish_client.evaluation.asking.ask import Progress, Side, ask_sides
from burnish_client.evaluation.request import Endpoint, Sampling

BASE = "sha256:aa"


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
