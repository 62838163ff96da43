"""An eval with everything in it, hostile answers too: for the report's tests and the browser's."""

from __future__ import annotations

import random
from dataclasses import dataclass

from burnish.reporting.meta import ReportMeta
from burnish.schemas.adapter import AdapterManifest, TrainingSummary
from burnish.schemas.base import BaseModelRef
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.dataset import DatasetCounts, DatasetManifest, DatasetSpec, LengthStatistics, Split
from burnish.schemas.evaluation import (
    BaselineComparison,
    Comparison,
    Cost,
    EvalRow,
    Forgetting,
    JudgeCalibration,
    NoiseFloor,
    ProbeCategory,
    ScoreComparison,
    Verdict,
)
from burnish.schemas.review import ReviewEffort
from burnish.schemas.runlog import FailureCluster
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement
from burnish.statistics import mcnemar_exact, tango_interval
from burnish.verdict import decide, pair

HOSTILE = "<script>document.title='owned'</script><img src=http://127.0.0.1:9/x onerror=document.title='owned'>`|</pre>\u202egnp"
SLICES = ("json-location", "one-word", "parameters", "docstring")


@dataclass(frozen=True)
class Sample:
    verdict: Verdict
    base: list[EvalRow]
    candidate: list[EvalRow]
    meta: ReportMeta


def make_sample(seed: int = 3) -> Sample:
    """240 questions in four slices, the first targeted; the candidate fixes most of it and loses a few others."""
    draw = random.Random(seed)
    questions = [_question(number) for number in range(240)]
    base: list[EvalRow] = []
    candidate: list[EvalRow] = []
    for number, question in enumerate(questions):
        targeted = question.slice == "json-location"
        passes = draw.random() < (0.05 if targeted else 0.8)
        base += [_row(question, number, sample, passes != (draw.random() < 0.03)) for sample in (0, 1)]
        now_passes = draw.random() < 0.9 if targeted else passes != (draw.random() < 0.03)
        candidate.append(_row(question, number, 0, now_passes))
    return Sample(decide(base, candidate), base, candidate, _meta(questions))


def make_rich_sample() -> Sample:
    """The sample with every section filled: scores, noise, control arms, judge, forgetting, cost; hostile names too.

    The parts of the verdict that other rows would be needed for are made up, and so are its five regressions: three
    of the slice `parameters`.
    """
    sample = make_sample()
    lost = _lose(sample)
    verdict = decide(sample.base, lost)
    verdict = verdict.model_copy(
        update={
            "targeted_score": _scores(0.21, 0.93, 0.66, 0.78),
            "rest_score": _scores(0.81, 0.80, -0.04, 0.02),
            "noise": NoiseFloor(
                samples=2,
                flip_rate=0.061,
                self_loss_rate=0.02,
                flaky=dict.fromkeys(verdict.flaky_questions, 0.5) | {f"<b>{HOSTILE}": 0.25},
            ),
            "calibration": JudgeCalibration(
                judge="sha256:77aa",
                judge_model=f"judge-70b {HOSTILE}",
                rubric_digest="aa",
                n=120,
                positives=71,
                kappa=0.78,
                kappa_low=0.66,
                kappa_high=0.88,
                true_positive_rate=0.94,
                true_positive_low=0.86,
                true_positive_high=0.98,
                true_negative_rate=0.84,
                true_negative_low=0.71,
                true_negative_high=0.92,
            ),
            "judged": _comparison(40, 12, 5),
            "arms": [
                _arm("few-shot", 20, 4, 2, does_it=False),
                _arm("few-shot-nearest", 33, 3, 1, does_it=True),
                _arm("schema", 30, 1, 9, does_it=False),
                _arm(f"prompt {HOSTILE}", 2, 3, 4, does_it=False),
            ],
            "cheaper_rung": "few-shot-nearest",
        }
    )
    forgetting = Forgetting(
        probe=_comparison(126, 3, 6),
        categories=[
            ProbeCategory(category=name, **_comparison(n, gained, losses).model_dump())
            for name, n, gained, losses in (
                ("arithmetic", 30, 1, 1),
                ("everyday facts", 30, 1, 0),
                ("format", 26, 0, 4),
                ("instruction following", 24, 1, 1),
                (HOSTILE, 16, 0, 0),
            )
        ],
        lost=["format-03", HOSTILE],
        ungraded=2,
        texts=24,
        tokens=18342,
        base_cross_entropy=2.8714,
        candidate_cross_entropy=2.9102,
        delta_cross_entropy=0.0388,
        delta_low=0.0291,
        delta_high=0.0485,
    )
    costs = [
        Cost(side="base", asked=0, reused=480, money=0.0, currency="EUR"),
        _cost("candidate", 240),
        _cost("arm:few-shot-nearest", 240),
        _cost("probe", 252),
        _cost("judge", 96),
    ]
    update = {"forgetting": forgetting, "costs": costs, "adapter": _trained(sample.meta)}
    return Sample(verdict, sample.base, lost, sample.meta.model_copy(update=update))


def _trained(meta: ReportMeta) -> AdapterManifest:
    """The adapter with an estimate, a measurement, and findings whose words are hostile."""
    assert meta.adapter is not None
    rows = [f"q{number}" for number in range(20)]
    return meta.adapter.model_copy(
        update={
            "method": "dpo",
            "quantization": "nf4",
            "findings": [
                Finding(
                    code="overfitting",
                    severity="warning",
                    message="training loss fell from 0.41 to 0.04 after step 30 while validation loss rose from 0.05 to 0.09",
                ),
                Finding(
                    code="near-duplicates", severity="warning", message=f"alike {HOSTILE}", question_ids=rows, count=27
                ),
                Finding(code="completion-cut", severity="refusal", message="cut off", question_ids=[HOSTILE], count=1),
            ],
            "estimate": RunEstimate(
                seconds=300,
                load_seconds=2.5,
                peak_memory_bytes=1_900_000_000,
                disk_bytes=1,
                steps=40,
                tokens=50_000,
                basis=f"4 like runs {HOSTILE}",
            ),
            "measured": RunMeasurement(
                seconds=328, load_seconds=2.4, peak_memory_bytes=1_710_000_000, tokens=51_200, queue_seconds=0.4
            ),
        }
    )


def _lose(sample: Sample) -> list[EvalRow]:
    """The candidate's rows with five stable rest questions more that fail, four of the slice `parameters`."""
    stable = [p for p in pair(sample.base, sample.candidate).pairs if not p.targeted and p.held_out and all(p.base)]
    kept = [p.question_id for p in stable if p.candidate_passed]
    parameters = [name for name in kept if name.startswith("parameters")][:4]
    lost = {*parameters, next(name for name in kept if name.startswith("docstring"))}
    return [
        row.model_copy(
            update={
                "passed": False,
                "score": 0.0,
                "failure_label": "wrong-value",
                "answer": (row.answer or "").replace("heapq.py", "a/much/longer/path/to/bisect.py"),
            }
        )
        if row.question_id in lost
        else row
        for row in sample.candidate
    ]


def _comparison(n: int, gained: int, lost: int) -> Comparison:
    low, high = tango_interval(gained, lost, n)
    base = (n - gained - lost) // 2 + lost
    return Comparison(
        n=n,
        base=base / n,
        candidate=(base + gained - lost) / n,
        delta=(gained - lost) / n,
        ci_low=low,
        ci_high=high,
        p_value=mcnemar_exact(gained, lost),
        gained=gained,
        lost=lost,
    )


def _scores(base: float, candidate: float, low: float, high: float) -> ScoreComparison:
    return ScoreComparison(
        n=40, base=base, candidate=candidate, delta=candidate - base, ci_low=low, ci_high=high, p_value=0.2
    )


def _arm(name: str, gained: int, lost: int, rest_lost: int, *, does_it: bool) -> BaselineComparison:
    return BaselineComparison(
        name=name,
        what="The corrections nearest to the question stand in the prompt as examples.",
        targeted=_comparison(40, gained, lost),
        rest=_comparison(144, 2, rest_lost),
        against_candidate=_comparison(40, 3, max(0, 33 - gained + lost - 3)),
        does_it=does_it,
        reason="Not worse than the adapter, and the rest holds."
        if does_it
        else "Worse than the adapter on the target.",
    )


def _cost(side: str, asked: int) -> Cost:
    return Cost(
        side=side,
        asked=asked,
        prompt_tokens=asked * 412,
        completion_tokens=asked * 31,
        seconds=asked * 0.31,
        money=asked * 0.00021,
        currency="EUR",
    )


def _question(number: int) -> BenchmarkQuestion:
    return BenchmarkQuestion(
        question_id=f"{SLICES[number % 4]}-{number:03d}",
        prompt=f"Which file and function is this?\n\ndef f{number}(a, b):\n    return a + b\n",
        expected_answer=f'{{"file": "heapq.py", "symbol": "f{number}"}}',
        grader=GraderSpec(name="json_fields"),
        slice=SLICES[number % 4],
    )


def _row(question: BenchmarkQuestion, number: int, sample: int, passed: bool) -> EvalRow:
    targeted = question.slice == "json-location"
    return EvalRow(
        question_id=question.question_id,
        sample=sample,
        slice=question.slice,
        targeted=targeted,
        held_out=number % (3 if targeted else 5) != 0,
        passed=passed,
        score=float(passed),
        answer=question.expected_answer if passed else f"It is in heapq.py. {HOSTILE}",
        failure_label=None if passed else ("json-in-prose", "wrong-value")[number % 2],
        latency_ms=300.0,
    )


def _meta(questions: list[BenchmarkQuestion]) -> ReportMeta:
    cluster = FailureCluster(
        label="json-in-prose",
        size=112,
        questions=57,
        runs=2,
        repeated_questions=55,
        share_of_failures=0.61,
        slices={"json-location": 112},
        candidate=True,
    )
    dataset = DatasetManifest(
        name="json-location",
        version="ab12cd34ef56ab78",
        spec=DatasetSpec(name="json-location", run_log_id="11aa22bb33cc44dd", labels=["json-in-prose"]),
        review=ReviewEffort(items=20, seconds=240.0, reviewers=2),
        counts=DatasetCounts(corrections=20, anchors=10, train=27, validation=3, held_out=40, discarded={"empty": 2}),
        split=Split(targeted=[], held_out=[], train=[], validation=[], anchors=[]),
        lengths=LengthStatistics(
            unit="tokens", tokenizer="smollm2", minimum=90, median=160, p95=240, maximum=300, total=4800
        ),
    )
    adapter = AdapterManifest(
        name="json-location",
        version="9f8e7d6c5b4a3210",
        base_model=BaseModelRef(name="smollm2-135m-instruct", digest="sha256:" + "0f" * 32),
        job_id="job-1",
        method="sft",
        backend="peft",
        quantization="none",
        rank=32,
        alpha=32,
        target_modules=["q_proj"],
        seed=0,
        params={},
        training=TrainingSummary(
            steps=40,
            best_step=30,
            first_train_loss=1.1,
            final_train_loss=0.04,
            best_validation_loss=0.05,
            trained_tokens=51200,
            duration_seconds=328,
            peak_memory_bytes=None,
            stopped_early=False,
        ),
        packages={},
    )
    return ReportMeta(
        eval_id="0123456789abcdef",
        base_model="smollm2-135m-instruct",
        candidate_model="json-location@9f8e7d6c5b4a3210",
        benchmark="stdlib/aa11bb22cc33dd44",
        questions=questions,
        dataset=dataset,
        adapter=adapter,
        clusters=[cluster],
        sampling={"max_tokens": 96, "temperature": 0.0, "seed": 0},
        reused_base_answers=480,
        reproduce=["burnish eval --benchmark stdlib --dataset json-location --adapter json-location"],
    )
