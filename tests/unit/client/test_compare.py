"""Which method to take: the recommendation's every step on rows, and what datasets and jobs a comparison makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from burnish.errors import InvalidInputError, PreconditionError
from burnish.schemas.dataset import DatasetCounts, DatasetManifest, DatasetSpec, LengthStatistics, Split
from burnish.schemas.evaluation import EvalRow
from burnish.schemas.training.methods import Method
from burnish.testing import eval_side
from burnish.verdict import Thresholds, decide
from burnish_client.sdk.trainer import to_dict
from burnish_client.tuning.compare import (
    PlannedMethod,
    adapter_name_of,
    check_same_split,
    compare_id,
    methods_of,
    plan_methods,
    start_jobs,
    values_by_method,
)
from burnish_client.tuning.recommendation import (
    MethodResult,
    PairwiseComparison,
    Recommendation,
    claims_of,
    compare_pairs,
    recommend,
)
from burnish_protos.trainer.v1.trainer_pb2 import TuningJob, TuningSpec

LIMITS = Thresholds()


def side(targeted: str, rest: str) -> list[EvalRow]:
    """Rows of a model: `P30 F10` is 30 passes, then 10 fails."""

    def outcomes(words: str) -> list[str]:
        return [word[0] for word in words.split() for _ in range(int(word[1:]))]

    return eval_side(outcomes(targeted), prefix="t", targeted=True) + eval_side(outcomes(rest), prefix="r")


def asked_twice(rows: list[EvalRow]) -> list[EvalRow]:
    return rows + [row.model_copy(update={"sample": 1}) for row in rows]


BASE = asked_twice(side("F40", "P200"))


def result(method: Method, rows: list[EvalRow], base: list[EvalRow] = BASE, seconds: float = 60.0) -> MethodResult:
    improved, broke = claims_of(base, rows, LIMITS)
    verdict = decide(base, rows)
    return MethodResult(
        method=method, dataset="d@v", verdict=verdict, improved=improved, broke=broke, seconds=seconds, adapter=method
    )


def judged(
    rows: Mapping[Method, list[EvalRow]], base: list[EvalRow] = BASE, seconds: Mapping[str, float] | None = None
) -> tuple[list[PairwiseComparison], Recommendation]:
    results = [result(method, side, base, (seconds or {}).get(method, 60.0)) for method, side in rows.items()]
    pairs = compare_pairs(rows, LIMITS)
    return pairs, recommend(results, pairs, LIMITS)


def test_the_one_that_is_better_on_the_target() -> None:
    (pair,), found = judged({"sft": side("P15 F25", "P200"), "dpo": side("P35 F5", "P200")})
    assert (pair.targeted.delta, pair.targeted.gained, pair.targeted.lost) == (0.5, 20, 0)
    assert pair.targeted_p == pytest.approx(2 * 2 * 0.5**20), "two-sided, Holm over target and rest"
    assert (found.settled, found.method) == (True, "dpo")
    assert found.sentence.startswith(
        "Take dpo: +50.0 points against sft on 40 held-out targeted questions (95 % interval +"
    )
    turned = judged({"dpo": side("P35 F5", "P200"), "sft": side("P15 F25", "P200")})[1]
    assert turned.sentence == found.sentence, "the order of methods changes nothing"


def test_a_better_one_whose_rest_is_not_shown_is_taken_with_that_said() -> None:
    base = asked_twice(side("F40", "P60"))
    _, found = judged({"sft": side("P15 F25", "P60"), "dpo": side("P35 F5", "P60")}, base)
    assert (found.settled, found.method) == (True, "dpo")
    assert found.sentence.endswith("Whether the rest holds against the base is not shown yet.")


def test_no_difference_shown_says_how_many_questions_would_show_one() -> None:
    (pair,), found = judged({"sft": side("P30 F10", "P200"), "dpo": side("P32 F8", "P200")})
    assert (found.settled, found.method) == (False, None)
    assert found.needs_questions == pair.needs_questions is not None
    assert found.sentence.startswith(
        "No difference shown: dpo against sft +5.0 points on 40 questions, 95 % interval −"
    )
    assert found.sentence.endswith(f"about {found.needs_questions} more held-out targeted questions needed.")


def test_no_different_on_the_target_and_better_on_the_rest() -> None:
    base = asked_twice(side("F40", "P400 F60"))
    rows: dict[Method, list[EvalRow]] = {"sft": side("P30 F10", "P400 F60"), "dpo": side("P30 F10", "P460")}
    _, found = judged(rows, base)
    assert (found.settled, found.method) == (True, "dpo")
    assert "against sft on 460 rest questions" in found.sentence


def test_better_on_the_target_and_worse_on_the_rest_is_a_trade() -> None:
    base = asked_twice(side("F40", "P400 F60"))
    rows: dict[Method, list[EvalRow]] = {"sft": side("P12 F28", "P460"), "dpo": side("P38 F2", "P400 F60")}
    _, found = judged(rows, base)
    assert (found.settled, found.method) == (False, None)
    assert found.sentence.startswith("A trade: dpo is better on the target and sft on the rest")


def test_the_only_eligible_one() -> None:
    rows: dict[Method, list[EvalRow]] = {"sft": side("P30 F10", "P200"), "dpo": side("P35 F5", "P150 F50")}
    _, found = judged(rows)
    assert (found.settled, found.method) == (True, "sft")
    assert found.sentence == (
        "Take sft: sft improves the target and the rest holds; dpo is not shown to improve the target and something else broke."
    )


def test_neither_where_that_is_decided_for_both() -> None:
    base = asked_twice(side("F100", "P200"))
    rows: dict[Method, list[EvalRow]] = {"sft": side("F100", "P200"), "dpo": side("P90 F10", "P150 F50")}
    _, found = judged(rows, base)
    assert (found.settled, found.method) == (True, None)
    assert found.sentence.startswith("None of them: sft does not improve the target and the rest holds; dpo improves")


def test_open_where_no_improvement_is_shown_yet() -> None:
    base = asked_twice(side("F8", "P200"))
    _, found = judged({"sft": side("P2 F6", "P200"), "dpo": side("P1 F7", "P200")}, base)
    assert (found.settled, found.method) == (False, None)
    assert found.sentence.startswith("Not settled: sft is not shown to improve the target and the rest holds;")
    assert found.needs_questions


def test_the_only_one_shown_to_hold() -> None:
    noisy = side("P30 F10", "P197 F3")
    _, found = judged({"sft": side("P30 F10", "P200"), "dpo": noisy})
    assert result("dpo", noisy).broke == "unknown"
    assert (found.settled, found.method) == (True, "sft")
    assert "it alone is shown to leave the rest as it was" in found.sentence


def test_of_equals_the_fastest() -> None:
    base = asked_twice(side("F200", "P200"))
    same = side("P180 F20", "P200")
    (pair,), found = judged({"sft": same, "dpo": same}, base, {"sft": 100.0, "dpo": 260.0})
    assert pair.equivalent
    assert (found.settled, found.method) == (True, "sft")
    assert found.sentence.endswith("it trains fastest (sft 1 min 40 s, dpo 4 min 20 s).")
    few = side("P18 F2", "P200")
    assert not compare_pairs({"sft": few, "dpo": few}, LIMITS)[0].equivalent, "twenty questions show no equivalence"


def test_a_method_without_an_adapter_leaves_it_open() -> None:
    failed = MethodResult(method="dpo", dataset="d@v", failure="training failed: no pair differs")
    found = recommend([result("sft", side("P30 F10", "P200")), failed], [], LIMITS)
    assert (found.settled, found.method) == (False, None)
    assert found.sentence == (
        "Not compared: dpo: training failed: no pair differs. sft improves the target and the rest holds."
    )


def test_questions_that_either_trained_on_decide_nothing() -> None:
    anchored = [
        row.model_copy(update={"held_out": False}) if row.question_id in ("r0000", "r0001") else row
        for row in side("P30 F10", "P200")
    ]
    (pair,) = compare_pairs({"sft": anchored, "dpo": side("P30 F10", "F2 P198")}, LIMITS)
    assert (pair.rest.n, pair.rest.lost) == (198, 0)


def test_three_methods_are_corrected_together() -> None:
    rows: dict[Method, list[EvalRow]] = {
        "sft": side("P15 F25", "P200"),
        "dpo": side("P35 F5", "P200"),
        "kto": side("P16 F24", "P200"),
    }
    pairs, found = judged(rows)
    assert [(pair.first, pair.second) for pair in pairs] == [("sft", "dpo"), ("sft", "kto"), ("dpo", "kto")]
    assert pairs[0].targeted_p == pytest.approx(6 * 2 * 0.5**20)
    assert found.method == "dpo"
    assert "against sft" in found.sentence
    assert "against kto" in found.sentence


# datasets and jobs


def manifest(spec: DatasetSpec, **split: list[str]) -> DatasetManifest:
    fields = {"targeted": ["a", "b", "c"], "held_out": ["a"], "train": ["b"], "validation": ["c"], "anchors": []}
    return DatasetManifest(
        name=spec.name,
        version=f"{spec.format:0<16}",
        spec=spec,
        counts=DatasetCounts(corrections=2, anchors=0, train=1, validation=1, held_out=1),
        split=Split.model_validate(fields | split),
        lengths=LengthStatistics(unit="tokens", minimum=1, median=1, p95=1, maximum=1, total=1),
    )


class Curator:
    """Builds the split it is told to, by format."""

    def __init__(self, **splits: dict[str, list[str]]) -> None:
        self.splits, self.built = splits, []

    def build_dataset(self, spec: DatasetSpec) -> DatasetManifest:
        self.built.append(spec)
        return manifest(spec, **self.splits.get(spec.format, {}))


SPEC = DatasetSpec(name="fixes", run_log_id="0" * 16, labels=["not_json"], seed=5)


def test_one_dataset_a_format_from_the_same_spec() -> None:
    curator = Curator(sft={"anchors": ["z"]})
    planned = plan_methods(curator, {"sft": {}, "dpo": {}, "orpo": {"seed": 1}}, SPEC)
    assert [(spec.name, spec.format, spec.seed) for spec in curator.built] == [
        ("fixes-sft", "sft", 5),
        ("fixes-dpo", "dpo", 5),
    ]
    assert planned[2].dataset == planned[1].dataset
    assert [(method.adapter, method.values) for method in planned[1:]] == [
        ("fixes-dpo", {}),
        ("fixes-orpo", {"seed": 1}),
    ]


@pytest.mark.parametrize(
    "split",
    [{"held_out": ["b"], "train": ["a"]}, {"targeted": ["a", "b", "c", "d"]}, {"validation": [], "train": ["b", "c"]}],
)
def test_other_splits_are_refused(split: dict[str, list[str]]) -> None:
    with pytest.raises(PreconditionError, match=r"do not have the same split: [12] questions"):
        check_same_split([manifest(SPEC), manifest(SPEC, **split)])
    with pytest.raises(PreconditionError, match="fixes-sft@"):
        plan_methods(Curator(dpo=split), {"sft": {}, "dpo": {}}, SPEC)


def test_words_of_the_command_line() -> None:
    assert methods_of("dpo, sft") == ["dpo", "sft"]
    for bad in ("sft", "sft,sft", "sft,ppo", ""):
        with pytest.raises(InvalidInputError, match="two or more of sft, dpo, kto, orpo, simpo"):
            methods_of(bad)
    values = values_by_method(["epochs=2", "beta=0.3", "dpo.learning_rate=1e-5"], ["sft", "dpo"], seed=4)
    assert values == {
        "sft": {"seed": 4, "epochs": 2.0},
        "dpo": {"seed": 4, "epochs": 2.0, "beta": 0.3, "learning_rate": 1e-5},
    }
    for bad in ("sft.beta=0.1", "kto.beta=0.1", "speed=1"):
        with pytest.raises(InvalidInputError, match="has it"):
            values_by_method([bad], ["sft", "dpo"], seed=0)
    assert adapter_name_of("JSON in prose!") == "json-in-prose"
    assert adapter_name_of("…") == "compared"


class Trainer:
    """Keeps jobs by request id and finds them by label, newest first."""

    def __init__(self) -> None:
        self.jobs: dict[str, TuningJob] = {}

    def create_job(
        self, spec: TuningSpec, request_id: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> TuningJob:
        job = TuningJob(job_id=f"job-{len(self.jobs)}", spec=spec, labels=labels, state=TuningJob.STATE_PENDING)
        return self.jobs.setdefault(request_id or "", job)

    def list_jobs(self, *, labels: Mapping[str, str] | None = None) -> list[TuningJob]:
        wanted = dict(labels or {})
        return [job for job in reversed(self.jobs.values()) if wanted.items() <= dict(job.labels).items()]


def planned(methods: Sequence[Method] = ("sft", "dpo"), **values: float) -> list[PlannedMethod]:
    return plan_methods(Curator(), {method: dict(values) for method in methods}, SPEC)


def test_the_same_command_finds_its_jobs_and_retries_only_when_told_to() -> None:
    trainer, plan = Trainer(), planned(epochs=2.0)
    compared = compare_id(plan, "bench/v1")
    first = start_jobs(trainer, plan, compared, retry=False)
    assert first == {"sft": "job-0", "dpo": "job-1"} == start_jobs(trainer, plan, compared, retry=True)
    assert dict(trainer.jobs[f"compare-{compared}-dpo-1"].labels) == {"compare": compared, "method": "dpo"}
    assert to_dict(trainer.jobs[f"compare-{compared}-sft-1"].spec)["optimizer"] == {"epochs": 2.0}
    trainer.jobs[f"compare-{compared}-dpo-1"].state = TuningJob.STATE_FAILED
    assert start_jobs(trainer, plan, compared, retry=False) == first
    again = start_jobs(trainer, plan, compared, retry=True)
    assert again == {"sft": "job-0", "dpo": "job-2"} == start_jobs(trainer, plan, compared, retry=False)
    assert compare_id(planned(epochs=3.0), "bench/v1") != compared != compare_id(plan, "bench/v2")
