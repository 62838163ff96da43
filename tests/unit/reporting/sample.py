"""An eval with everything in it, hostile answers too: for the report's tests and the browser's."""

from __future__ import annotations

import random
from dataclasses import dataclass

from burnish.reporting import ReportMeta
from burnish.schemas.adapter import AdapterManifest, TrainingSummary
from burnish.schemas.base import BaseModelRef
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.dataset import DatasetCounts, DatasetManifest, DatasetSpec, LengthStatistics, Split
from burnish.schemas.evaluation import EvalRow, Verdict
from burnish.schemas.runlog import FailureCluster
from burnish.verdict import decide

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
