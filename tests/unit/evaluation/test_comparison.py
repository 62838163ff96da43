"""`evaluate`: benchmark, dataset and a real endpoint in; a folder with a verdict out."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from unit.evaluation.chat_server import ChatServer
from unit.evaluation.conftest import make_questions

from burnish.digests import file_sha256
from burnish.errors import InvalidInputError
from burnish.pairing import read_rows
from burnish.schemas.dataset import DatasetCounts, DatasetManifest, DatasetSpec, LengthStatistics, Split
from burnish.verdict import decide
from burnish_client.evaluation import Endpoint, Sampling, ask, evaluate, make_run_log
from burnish_client.evaluation.comparison import FILES

TARGETED = [f"q{i:04d}" for i in range(30)]
HELD_OUT = TARGETED[10:]


def make_dataset(held_out: list[str] = HELD_OUT) -> DatasetManifest:
    train = [q for q in TARGETED if q not in held_out]
    return DatasetManifest(
        name="fix",
        version="0123456789abcdef",
        spec=DatasetSpec(name="fix", run_log_id="log", labels=["expected-text-missing"]),
        counts=DatasetCounts(corrections=30, anchors=5, train=13, validation=2, held_out=20),
        split=Split(targeted=TARGETED, held_out=held_out, train=train[:8], validation=train[8:], anchors=["q0030"]),
        lengths=LengthStatistics(unit="characters", minimum=1, median=1, p95=1, maximum=1, total=15),
    )


def says(model: str, prompt: str) -> str:
    """The base fails what is targeted, the candidate nothing, the breaker all the rest."""
    targeted = prompt in TARGETED
    passes = {"base": not targeted, "candidate": True, "breaker": targeted}[model]
    return "good" if passes else "bad"


async def test_a_cure_ships_and_everything_is_written(server: ChatServer, tmp_path: Path) -> None:
    server.say = says
    out = tmp_path / "out"
    result = await evaluate(
        make_questions(200),
        make_dataset(),
        Endpoint(server.url),
        base_model="base",
        candidate_model="candidate",
        out=out,
        benchmark="bench/v1",
    )
    verdict = result.verdict
    assert verdict.verdict == "ship"
    assert (verdict.targeted.n, verdict.targeted.base, verdict.targeted.candidate) == (20, 0.0, 1.0)
    assert (verdict.trained.n, verdict.rest.n, verdict.anchored.n) == (10, 169, 1)
    assert verdict.noise_flip_rate == 0.0
    assert decide(read_rows(out / "base.jsonl"), read_rows(out / "candidate.jsonl")) == verdict
    assert orjson.loads((out / "verdict.json").read_bytes()) == verdict.model_dump(mode="json")
    assert {f.path: f.sha256 for f in result.manifest.files} == {name: file_sha256(out / name) for name in FILES}
    assert [(p.kind, p.name, p.digest) for p in result.manifest.parents] == [
        ("benchmark", "bench", "v1"),
        ("dataset", "fix", "0123456789abcdef"),
    ]
    assert "ship" in (out / "report.html").read_text()
    assert "**Verdict: ship.**" in (out / "postmortem.md").read_text()
    assert server.requests == 200 * 3


async def test_a_cure_that_breaks_the_rest_is_investigated(server: ChatServer, tmp_path: Path) -> None:
    server.say = says
    result = await evaluate(
        make_questions(200),
        make_dataset(),
        Endpoint(server.url),
        base_model="base",
        candidate_model="breaker",
        out=tmp_path,
        benchmark="bench/v1",
    )
    assert result.verdict.verdict == "investigate"
    assert len(result.verdict.regressions) == 169


async def test_base_answers_of_the_run_log_are_not_asked_again(server: ChatServer, tmp_path: Path) -> None:
    server.say = says
    questions, endpoint = make_questions(200), Endpoint(server.url)
    answers = await ask(endpoint, "base", questions, samples=2, out=tmp_path / "first.jsonl", max_tokens=20)
    asked = server.requests
    result = await evaluate(
        questions,
        make_dataset(),
        endpoint,
        base_model="base",
        candidate_model="candidate",
        out=tmp_path / "out",
        benchmark="bench/v1",
        base_run_log=make_run_log(questions, answers, "run"),
        sampling=Sampling(max_tokens=20),
    )
    assert server.requests - asked == 200, "only the candidate is asked"
    assert result.reused_base_answers == 400
    assert result.verdict.verdict == "ship"


async def test_benchmark_without_held_out_questions_is_refused_before_asking(
    server: ChatServer, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="none of the 1 held-out"):
        await evaluate(
            make_questions(10),
            make_dataset(held_out=["q0029"]),
            Endpoint(server.url),
            base_model="base",
            candidate_model="candidate",
            out=tmp_path,
            benchmark="bench/v1",
        )
    assert server.requests == 0
