"""`evaluate`: benchmark, dataset and a real endpoint in; a folder with a verdict out."""

from __future__ import annotations

import asyncio
import doctest
from pathlib import Path
from typing import Any

import orjson
import pytest
from adapter_making import adapter_files, make_manifest
from integration.evaluation.chat_server import ChatServer, ask
from unit.evaluation.questions import make_questions

import burnish_client
from burnish.digests import file_sha256
from burnish.errors import AlreadyExistsError, InvalidInputError, LeakageError
from burnish.probe.dataset import probe_questions
from burnish.schemas.base import Message
from burnish.schemas.benchmark import GraderSpec
from burnish.schemas.dataset import DatasetCounts, DatasetManifest, DatasetSpec, LengthStatistics, Split
from burnish.schemas.models import BaseModelRecord
from burnish.verdict import decide, read_rows
from burnish_client.evaluation.baselines import baseline_names
from burnish_client.evaluation.comparison import Evaluation, evaluate
from burnish_client.evaluation.forecast import Forecast
from burnish_client.evaluation.grade import make_run_log
from burnish_client.evaluation.output import FILES
from burnish_client.evaluation.request import BaselineSettings, Correction, Endpoint, EvalInputs, EvalRequest, Sampling

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


def request_of(server: ChatServer, candidate: str = "candidate", **fields: Any) -> EvalRequest:
    return EvalRequest(
        **{
            "benchmark": "bench/v1",
            "endpoint": Endpoint(server.url),
            "base_model": "base",
            "candidate_model": candidate,
            "dataset": "fix/0123456789abcdef",
            "concurrency": 8,  # more cost time in the client's connection pool and gain nothing here
            **fields,
        }
    )


async def test_a_cure_ships_and_everything_is_written(server: ChatServer, tmp_path: Path) -> None:
    server.say = says
    out = tmp_path / "out"
    request = request_of(server, endpoint=Endpoint(server.url, "secret-token"))
    result = await evaluate(request, EvalInputs(make_questions(200), make_dataset()), out=out)
    verdict = result.verdict
    assert verdict.verdict == "ship"
    assert (verdict.targeted.n, verdict.targeted.base, verdict.targeted.candidate) == (20, 0.0, 1.0)
    assert (verdict.trained.n, verdict.rest.n, verdict.anchored.n) == (10, 169, 1)
    assert verdict.noise_flip_rate == 0.0
    [greedy] = verdict.warnings
    assert greedy.startswith("The base is asked 2 times at temperature 0")
    decided = decide(read_rows(out / "base.jsonl"), read_rows(out / "candidate.jsonl"))
    assert decided == verdict.model_copy(update={"warnings": []})
    assert orjson.loads((out / "verdict.json").read_bytes()) == verdict.model_dump(mode="json")
    assert {f.path: f.sha256 for f in result.manifest.files} == {name: file_sha256(out / name) for name in FILES}
    assert [(p.kind, p.name, p.digest) for p in result.manifest.parents] == [
        ("benchmark", "bench", "v1"),
        ("dataset", "fix", "0123456789abcdef"),
    ]
    assert "ship" in (out / "report.html").read_text()
    assert "**Verdict: ship.**" in (out / "postmortem.md").read_text()
    saved = (out / "request.json").read_text()
    assert EvalRequest.model_validate_json(saved) == request_of(server), "all but the token can be read back"
    assert not any(b"secret-token" in file.read_bytes() for file in out.iterdir())
    assert server.requests == 200 * 3


async def test_what_the_build_warned_of_and_a_baseline_that_changes_nothing_are_said_and_not_asked(
    server: ChatServer, tmp_path: Path
) -> None:
    server.say = says
    dataset = make_dataset().model_copy(update={"warnings": ["Only 12 of 85 replay (anchor) rows could be had."]})
    request = request_of(server, baselines=BaselineSettings(baseline_names("schema")), base_samples=1)
    told: list[Forecast] = []
    inputs = EvalInputs(make_questions(200), dataset)
    result = await evaluate(request, inputs, out=tmp_path, foretell=told.append)
    assert server.requests == 400
    assert [(one.answers, one.completion_tokens) for one in told] == [(400, 400 * 256)]
    [schema] = result.manifest.arms
    assert (schema.name, schema.file, schema.changed, result.verdict.arms) == ("schema", "", 0, [])
    warnings = " ".join(result.verdict.warnings)
    assert f"Baseline `schema` is not applicable: {schema.not_applicable}." in warnings
    assert "Only 12 of 85 replay (anchor) rows could be had." in (tmp_path / "postmortem.md").read_text()
    assert "Only 12 of 85 replay (anchor) rows could be had." in (tmp_path / "report.html").read_text()


async def test_a_cure_that_breaks_more_than_it_fixes_is_not_shown_to_improve(
    server: ChatServer, tmp_path: Path
) -> None:
    server.say = says
    inputs = EvalInputs(make_questions(200), make_dataset())
    result = await evaluate(request_of(server, "breaker"), inputs, out=tmp_path)
    assert (result.verdict.verdict, result.verdict.broke) == ("inconclusive", "yes")
    assert len(result.verdict.regressions) == 169
    assert any(reason.startswith("Overall accuracy fell") for reason in result.verdict.reasons[:3])


async def test_the_folder_of_another_eval_is_refused_before_anything_is_asked(
    server: ChatServer, tmp_path: Path
) -> None:
    server.say = says
    inputs = EvalInputs(make_questions(200), make_dataset())
    await evaluate(request_of(server), inputs, out=tmp_path)
    kept, asked = (tmp_path / "postmortem.md").read_bytes(), server.requests
    with pytest.raises(AlreadyExistsError, match="has the finished eval of benchmark"):
        await evaluate(request_of(server, benchmark="other/v1"), inputs, out=tmp_path)
    assert ((tmp_path / "postmortem.md").read_bytes(), server.requests) == (kept, asked)


async def test_a_second_adapter_costs_its_own_answers_alone_those_to_the_probe_included(
    server: ChatServer, tmp_path: Path
) -> None:
    server.say = lambda model, prompt: says(model, prompt) if model == "base" else "good"
    base = BaseModelRecord(name="base", digest="sha256:" + "0" * 64, source="made", licence="none")
    for rank, asked in ((4, 2), (8, 1)):
        adapter = make_manifest("fix", adapter_files(rank), base, rank)
        request = request_of(
            server, f"fix@{adapter.version}", adapter=f"fix@{adapter.version}", base_samples=1, forgetting=True
        )
        before = server.requests
        inputs = EvalInputs(make_questions(200), make_dataset(), adapter)
        done = await evaluate(request, inputs, out=tmp_path / str(rank), cache=tmp_path / "cache")
        assert done.forgetting is not None
        assert server.requests - before == asked * (200 + len(probe_questions()))


async def test_base_answers_of_the_run_log_are_not_asked_again(server: ChatServer, tmp_path: Path) -> None:
    server.say = says
    questions, endpoint = make_questions(200), Endpoint(server.url)
    answers = await ask(endpoint, "base", questions, samples=2, out=tmp_path / "first.jsonl", max_tokens=20)
    asked = server.requests
    inputs = EvalInputs(questions, make_dataset(), base_run_log=make_run_log(questions, answers, "run"))
    request = request_of(server, sampling=Sampling(max_tokens=20))
    result = await evaluate(request, inputs, out=tmp_path / "out")
    assert server.requests - asked == 200, "only the candidate is asked"
    assert result.reused_base_answers == 400
    assert result.verdict.verdict == "ship"


async def test_benchmark_without_held_out_questions_is_refused_before_asking(
    server: ChatServer, tmp_path: Path
) -> None:
    inputs = EvalInputs(make_questions(10), make_dataset(held_out=["q0029"]))
    with pytest.raises(InvalidInputError, match="none of the 1 held-out"):
        await evaluate(request_of(server), inputs, out=tmp_path)
    assert server.requests == 0


async def test_baselines_are_asked_of_the_base_beside_the_sides_and_decided_on(
    server: ChatServer, tmp_path: Path
) -> None:
    server.say = says
    questions = make_questions(200)
    corrections = [Correction(q, (Message(role="user", content=q),), "good") for q in TARGETED[:8]]

    async def run() -> Evaluation:
        baselines = BaselineSettings(("few-shot", "prompt"), shots=2, prompt="Say good.")
        request = request_of(server, baselines=baselines, concurrency=1)
        return await evaluate(request, EvalInputs(questions, make_dataset(), corrections=corrections), out=tmp_path)

    result = await run()
    assert server.order[:5] == [("base", "q0000"), ("candidate", "q0000"), *[("base", "q0000")] * 3], "interleaved"
    assert [message["role"] for message in server.bodies[2]["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert server.bodies[3]["messages"][0] == {"role": "system", "content": "Say good."}
    assert [(arm.name, arm.does_it) for arm in result.verdict.arms] == [("few-shot", False), ("prompt", False)]
    assert [arm.changed for arm in result.manifest.arms] == [200, 200]
    assert {f.path for f in result.manifest.files} == {*FILES, "arm-few-shot.jsonl", "arm-prompt.jsonl"}
    sides = [(cost.side, cost.asked) for cost in result.costs]
    assert sides == [("base", 400), ("candidate", 200), ("arm:few-shot", 200), ("arm:prompt", 200)]
    rows = {arm.name: (arm.what, read_rows(tmp_path / arm.file)) for arm in result.manifest.arms}
    decided = decide(result.base_rows, result.candidate_rows, baselines=rows)
    assert decided.model_copy(update={"warnings": result.verdict.warnings}) == result.verdict

    log = tmp_path / "answers-arm-prompt.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-3]) + b'{"model": "ba')
    asked = server.requests
    again = await run()
    assert server.requests - asked == 3, "what a killed run had not logged, and nothing else"
    assert again.verdict == result.verdict


async def test_leaking_examples_missing_judges_and_baselines_that_the_endpoint_cannot_do_are_refused_before_asking(
    server: ChatServer, tmp_path: Path
) -> None:
    held_out = Correction(HELD_OUT[0], (Message(role="user", content=HELD_OUT[0]),), "good")
    judged = make_questions(40, grader=GraderSpec(name="judge", args={"rubric": "It is polite."}))
    objects = make_questions(40, grader=GraderSpec(name="json_fields"), expected_answer='{"a": 1}')
    for questions, name, error in (
        (make_questions(40), "few-shot", LeakageError),
        (judged, "", InvalidInputError),
        (objects, "schema", InvalidInputError),
    ):
        request = request_of(
            server,
            endpoint=Endpoint(server.url, without=frozenset({"response_format"})),
            baselines=BaselineSettings(baseline_names(name) if name else ()),
        )
        with pytest.raises(error):
            await evaluate(request, EvalInputs(questions, make_dataset(), corrections=[held_out]), out=tmp_path)
    assert server.requests == 0


async def test_a_request_that_names_other_data_than_its_inputs_is_refused(server: ChatServer, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError, match="the request names dataset other/v, its inputs have fix/0123456789abcdef"
    ):
        await evaluate(
            request_of(server, dataset="other/v"), EvalInputs(make_questions(200), make_dataset()), out=tmp_path
        )
    assert server.requests == 0


def test_the_example_in_the_documentation_runs(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.say = lambda model, prompt: says("base" if model == "base" else "candidate", prompt)
    marked = [q.model_copy(update={"extra": {"targeted": q.question_id in TARGETED}}) for q in make_questions(200)]
    Path("files.jsonl").write_text("".join(question.model_dump_json() + "\n" for question in marked))
    public = {name: getattr(burnish_client, name) for name in burnish_client.__all__}
    names = public | {"url": server.url, "asyncio": asyncio, "Path": Path}
    (example,) = doctest.DocTestFinder(recurse=False).find(evaluate, "evaluate", module=False, globs=names)
    assert len(example.examples) == 4
    assert doctest.DocTestRunner().run(example).failed == 0
