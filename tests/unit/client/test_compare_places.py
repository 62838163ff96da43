"""`burnish train compare --on local --on openai:MODEL`: the same rows and questions, trained in several places, with time and money."""

from __future__ import annotations

from datetime import datetime

import pytest
from unit.client.test_compare import BASE as BASE_ROWS
from unit.client.test_compare import LIMITS, SPEC, Curator, Trainer, side

from burnish.errors import InvalidInputError, PreconditionError
from burnish.schemas.training.hosted import HostedSpec, RemoteModel, RemoteModelManifest
from burnish.schemas.training.methods import Method
from burnish.verdict import decide
from burnish_client.cli.commands.training.compare import CompareOptions, _places
from burnish_client.cli.views.evaluation.evaluation_text import show_methods
from burnish_client.sdk.trainer import to_dict
from burnish_client.tuning.compare import (
    PlannedMethod,
    check_places,
    compare_id,
    method_result,
    methods_of,
    plan_methods,
    start_jobs,
)
from burnish_client.tuning.recommendation import MethodResult, claims_of, compare_pairs, recommend
from burnish_protos.trainer.v1.trainer_pb2 import RunEstimate, TuningJob

NANO = HostedSpec(provider="openai", model="gpt-4.1-nano", spend_limit_usd=2)
MINI = NANO.model_copy(update={"model": "gpt-4.1-mini"})


def planned(*places: HostedSpec | None) -> list[PlannedMethod]:
    return plan_methods(Curator(), {"sft": {"seed": 3, "epochs": 2.0, "rank": 8}}, SPEC, places)  # type: ignore[arg-type]


def test_each_place_trains_the_same_dataset_with_what_it_takes() -> None:
    here, there = planned(None, NANO)
    assert here.dataset == there.dataset
    assert (here.name, there.name) == ("sft", "sft-on-openai-gpt-4.1-nano")
    assert (here.place, there.place) == ("local", "openai:gpt-4.1-nano")
    assert (here.adapter, there.adapter) == ("fixes-sft", "fixes-sft-openai")
    assert here.values == {"seed": 3, "epochs": 2.0, "rank": 8}
    assert there.values == {"seed": 3, "epochs": 2.0}
    hosted = to_dict(there.spec())["hosted"]
    assert hosted == {"provider": "openai", "model": "gpt-4.1-nano", "spend_limit_usd": 2.0}
    assert compare_id([here, there], "bench/v1") != compare_id([here], "bench/v1")


def test_its_jobs_are_found_again_by_place() -> None:
    trainer, plan = Trainer(), planned(None, NANO, MINI)
    first = start_jobs(trainer, plan, "c", retry=False)  # type: ignore[arg-type]
    assert list(first) == ["sft", "sft-on-openai-gpt-4.1-nano", "sft-on-openai-gpt-4.1-mini"]
    assert start_jobs(trainer, plan, "c", retry=False) == first  # type: ignore[arg-type]
    assert len(trainer.jobs) == 3, "nothing is bought twice"


def test_one_method_is_enough_for_several_places() -> None:
    assert methods_of("sft", places=2) == ["sft"]
    with pytest.raises(InvalidInputError, match="two or more"):
        methods_of("sft")


@pytest.mark.parametrize(
    ("places", "methods", "why"),
    [([NANO, NANO], ["sft"], "each place once"), ([None, NANO], ["sft", "kto"], "leave kto out")],
)
def test_what_no_provider_trains_is_refused_before_anything_is_queued(
    places: list[HostedSpec | None], methods: list[Method], why: str
) -> None:
    with pytest.raises(InvalidInputError, match=why):
        check_places(places, methods)


def options(on: list[str] | None, spend_limit: float | None) -> CompareOptions:
    return CompareOptions(label=["l"], on=on, spend_limit=spend_limit)  # type: ignore[call-arg]


def test_places_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    both = ["local", "openai:gpt-4.1-nano"]
    assert _places(options(None, None)) == [None]
    assert _places(options(both, 2)) == [None, NANO]
    with pytest.raises(InvalidInputError, match="needs --spend-limit"):
        _places(options(both, None))
    with pytest.raises(InvalidInputError, match="leave --spend-limit out"):
        _places(options(["local"], 2))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(PreconditionError, match="set OPENAI_API_KEY"):
        _places(options(both, 2))


def test_quality_time_and_money_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    (there,) = planned(NANO)
    remote = RemoteModel(provider="openai", endpoint="http://there/v1", model="ft:1", base_model="gpt-4.1-nano")
    found = RemoteModelManifest(
        name="fixes-sft-openai", version=remote.version, remote=remote, job_id="j", method="sft", seed=3
    )
    job = TuningJob(job_id="j", state=TuningJob.STATE_SUCCEEDED, estimate=RunEstimate(cost_usd=0.125))
    job.start_time.FromDatetime(datetime(2026, 1, 1, 12, 0))
    job.end_time.FromDatetime(datetime(2026, 1, 1, 12, 30))
    rows = {"sft": side("P15 F25", "P200"), there.name: side("P35 F5", "P200")}

    def made(name: str, **more: object) -> MethodResult:
        improved, broke = claims_of(BASE_ROWS, rows[name], LIMITS)
        known = MethodResult(method=name, dataset="d@v", seconds=60.0, peak_memory_bytes=2**30)
        update = {"verdict": decide(BASE_ROWS, rows[name]), "improved": improved, "broke": broke, **more}
        return known.model_copy(update=update)

    class Done:
        base_rows, candidate_rows, folder = BASE_ROWS, rows[there.name], "out"
        verdict = decide(BASE_ROWS, rows[there.name])

        class manifest:
            id = "e1"

    hosted = method_result(there, job, Done, found, LIMITS)  # type: ignore[arg-type]
    assert (hosted.seconds, hosted.peak_memory_bytes, hosted.cost_usd) == (1800.0, None, 0.125)
    pairs = compare_pairs(rows, LIMITS)
    best = recommend([made("sft"), hosted], pairs, LIMITS)
    assert (best.settled, best.method) == (True, there.name)
    show_methods([made("sft"), hosted], pairs, best)
    shown = capsys.readouterr().out
    print(shown)
    assert all(word in shown for word in ("price", "$0.12", "–", there.name))
    assert all(len(line) <= 80 for line in shown.splitlines() if "report.html" not in line)
    failed = method_result(there, TuningJob(job_id="j", state=TuningJob.STATE_FAILED))
    assert failed.failure is not None
