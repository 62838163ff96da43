"""Forgetting against a real server: what is compared, resumed, warned of, and said where there is no cross-entropy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from integration.evaluation.chat_server import ChatServer, serving

from burnish.errors import CorruptDataError, UnavailableError
from burnish.probe import probe_questions, probe_texts, probe_version
from burnish_client.evaluation.asking.answers import AnswerCache
from burnish_client.evaluation.asking.ask import Side
from burnish_client.evaluation.forgetting import (
    CANDIDATE_TEXTS,
    NoPromptLogprobs,
    forgetting_sentence,
    measure_forgetting,
    score_texts,
)
from burnish_client.evaluation.request import Endpoint

EXPECTED = {question.prompt: question.expected_answer for question in probe_questions()}
FEW = probe_questions()[::8]
RIGHT_IDS = [question.question_id for question in probe_questions() if question.slice == "format"]
FORMAT_PROMPTS = {question.prompt for question in probe_questions() if question.slice == "format"}


def say(model: str, prompt: str) -> str:
    """The base knows everything; the candidate has lost all of `format`."""
    return "gone" if model == "candidate" and prompt in FORMAT_PROMPTS else EXPECTED[prompt]


@dataclass
class ScoringServer(ChatServer):
    """Also scores prompts: a word is a token of `nats` nats, of 2.5 for the candidate. `manner` is how it does so."""

    manner: str = "echo"
    nats: float = 2.0
    busy_first: int = 0
    busy_code: str = "busy"
    scored: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> FastAPI:
        app = super().app()
        app.post("/v1/completions")(self.score)
        return app

    async def score(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.scored.append(body)
        if len(self.scored) <= self.busy_first:
            return JSONResponse({"error": {"message": "busy", "code": self.busy_code}}, 503, {"Retry-After": "0"})
        if self.manner == "refuse":
            return JSONResponse({"error": {"message": "echo is not supported", "code": "invalid_input"}}, 400)
        words = body["prompt"].split()
        if body["model"] == "other-tokenizer":
            words = words[:-1]
        nats = 2.5 if body["model"] == "candidate" else self.nats
        values: list[float | None] = [None, *[-nats] * (len(words) - 1)]
        logprobs: dict[str, Any] | None = {"token_logprobs": values}
        if self.manner == "new tokens only":
            return JSONResponse({"choices": [{"text": "", "logprobs": {"token_logprobs": [-0.5] * 16}}]})
        elif self.manner == "cut short":
            logprobs = {"token_logprobs": values[:5]}
        elif self.manner == "ignore":
            logprobs = None
        elif self.manner == "holes":
            values[3] = None
        return JSONResponse({"choices": [{"text": "", "logprobs": logprobs}], "usage": {"prompt_tokens": len(words)}})


@pytest.fixture
def scorer() -> Iterator[ScoringServer]:
    with serving(ScoringServer(say=say)) as running:
        assert isinstance(running, ScoringServer)
        yield running


async def test_a_lost_category_and_worse_text_are_measured(scorer: ScoringServer, tmp_path: Path) -> None:
    found = await measure_forgetting(Endpoint(scorer.url), "base", "candidate", tmp_path)
    lost, n = len(RIGHT_IDS), len(probe_questions())
    assert (found.probe.n, found.probe.base, found.probe.gained, found.probe.lost) == (n, 1.0, 0, lost)
    by_name = {category.category: category for category in found.categories}
    assert (by_name["format"].delta, by_name["facts"].delta) == (-1.0, 0.0)
    assert by_name["format"].p_value == pytest.approx(5 * 2 * 0.5**lost)  # exact McNemar, times five by Holm
    assert found.lost == RIGHT_IDS
    words = sum(len(text.text.split()) - 1 for text in probe_texts())
    assert (found.texts, found.tokens) == (len(probe_texts()), words)
    assert (found.base_cross_entropy, found.candidate_cross_entropy) == (pytest.approx(2.0), pytest.approx(2.5))
    assert (found.delta_low, found.delta_high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (found.cross_entropy_missing, found.probe_version) == (None, probe_version())
    sentence = forgetting_sentence(found)
    assert sentence is not None
    assert f"format fell from 100 % to 0 % of {lost}" in sentence
    assert "0.50 nats a token" in sentence
    assert "format-01" in sentence


async def test_the_same_run_again_asks_nothing(scorer: ScoringServer, tmp_path: Path) -> None:
    first = await measure_forgetting(Endpoint(scorer.url), "base", "candidate", tmp_path, questions=FEW)
    asked, scored = len(scorer.order), len(scorer.scored)
    assert await measure_forgetting(Endpoint(scorer.url), "base", "candidate", tmp_path, questions=FEW) == first
    assert (len(scorer.order), len(scorer.scored)) == (asked, scored)
    log = tmp_path / CANDIDATE_TEXTS
    log.write_bytes(log.read_bytes()[:-10])
    assert await measure_forgetting(Endpoint(scorer.url), "base", "candidate", tmp_path, questions=FEW) == first
    assert len(scorer.scored) == scored + 1


async def test_a_second_adapter_does_not_ask_the_base_again(scorer: ScoringServer, tmp_path: Path) -> None:
    endpoint = Endpoint(scorer.url)
    with AnswerCache(tmp_path) as cache:
        for name, digests in (("first", ("b", "1")), ("second", ("b", "2")), ("unknown", (None, None))):
            before = len(scorer.order)
            found = await measure_forgetting(
                endpoint, "base", "candidate", tmp_path / name, digests=digests, cache=cache, questions=FEW
            )
            assert found.probe.base == 1.0
            assert len(scorer.order) - before == (1 if name == "second" else 2) * len(FEW), name


async def test_equal_models_give_no_warning(scorer: ScoringServer, tmp_path: Path) -> None:
    found = await measure_forgetting(Endpoint(scorer.url), "base", "twin", tmp_path, questions=FEW)
    assert (found.probe.delta, found.delta_cross_entropy, found.lost) == (0.0, 0.0, [])
    assert forgetting_sentence(found) is None


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        ("refuse", "HTTP 400: echo is not supported"),
        ("ignore", "holds no log-probabilities"),
        ("new tokens only", "of new tokens, not of the prompt"),
        ("cut short", "of new tokens, not of the prompt"),
        ("holes", "left out"),
    ],
)
async def test_without_prompt_logprobs_there_is_a_sentence_and_no_guess(
    scorer: ScoringServer, tmp_path: Path, manner: str, says: str
) -> None:
    scorer.manner = manner
    found = await measure_forgetting(Endpoint(scorer.url), "base", "candidate", tmp_path, questions=FEW)
    assert found.cross_entropy_missing is not None
    assert says in found.cross_entropy_missing
    assert (found.base_cross_entropy, found.delta_cross_entropy, found.delta_low, found.texts) == (None, None, None, 0)
    assert found.probe.lost == sum(question.slice == "format" for question in FEW)


async def test_an_endpoint_without_completions_has_no_cross_entropy(tmp_path: Path) -> None:
    with serving(ChatServer(say=say)) as server:
        found = await measure_forgetting(Endpoint(server.url), "base", "candidate", tmp_path, questions=FEW)
    assert found.cross_entropy_missing is not None
    assert "HTTP 404" in found.cross_entropy_missing


async def test_another_tokenizer_is_not_compared(scorer: ScoringServer, tmp_path: Path) -> None:
    found = await measure_forgetting(Endpoint(scorer.url), "base", "other-tokenizer", tmp_path, questions=FEW)
    assert found.cross_entropy_missing is not None
    assert "different tokenizers" in found.cross_entropy_missing


async def test_one_name_on_two_hosts_is_two_models(scorer: ScoringServer, tmp_path: Path) -> None:
    with serving(ScoringServer(say=say, nats=3.0)) as other:
        assert isinstance(other, ScoringServer)
        for _ in range(2):  # the second time from the logs
            found = await measure_forgetting(
                Endpoint(scorer.url), "m", "m", tmp_path, candidate_endpoint=Endpoint(other.url), questions=FEW
            )
            assert (found.base_cross_entropy, found.candidate_cross_entropy) == (pytest.approx(2), pytest.approx(3))
    assert len(scorer.scored) == len(other.scored) == len(probe_texts())


async def test_a_busy_endpoint_is_asked_again_and_a_dead_one_is_unavailable(tmp_path: Path) -> None:
    patient = {"attempts": 3, "first_delay_seconds": 0.01}
    texts = probe_texts()[:2]
    with serving(ScoringServer(busy_first=2)) as server:
        endpoint = Endpoint(server.url, **patient)
        ((one, two),) = await score_texts([Side(endpoint, "base", tmp_path / "a.jsonl")], texts, concurrency=1)
    assert [one.text_id, two.text_id] == [text.text_id for text in texts]
    with pytest.raises(UnavailableError, match="scores so far are kept"):
        await score_texts([Side(endpoint, "base", tmp_path / "b.jsonl")], texts)
    again = await score_texts([Side(endpoint, "base", tmp_path / "a.jsonl")], texts)
    assert again == [[one, two]]


async def test_a_broken_log_is_named(scorer: ScoringServer, tmp_path: Path) -> None:
    log = tmp_path / "scores.jsonl"
    log.write_text("{}\n")
    with pytest.raises(CorruptDataError, match=r"scores\.jsonl line 1"):
        await score_texts([Side(Endpoint(scorer.url), "base", log)], probe_texts())
    assert scorer.scored == []
    scorer.manner = "ignore"
    with pytest.raises(NoPromptLogprobs):
        await score_texts([Side(Endpoint(scorer.url), "base", tmp_path / "new.jsonl")], probe_texts())
