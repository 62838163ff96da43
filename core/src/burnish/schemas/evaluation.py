"""Eval result rows, the eval manifest and the verdict."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from burnish.schemas.base import Frozen, Manifest

VerdictName = Literal["ship", "investigate", "data-quality", "stop", "inconclusive"]
EXIT_CODES: dict[VerdictName, int] = {"ship": 0, "investigate": 10, "data-quality": 11, "stop": 12, "inconclusive": 13}


class EvalRow(Frozen):
    """One answer of one side: a line of base.jsonl or candidate.jsonl.

    held_out is true for every question that no training example came from (targeted or rest).
    passed and score are None exactly where skipped_reason or error is set.
    """

    question_id: str
    sample: int = Field(default=0, ge=0)
    slice: str = "all"
    targeted: bool
    held_out: bool
    passed: bool | None
    score: float | None = Field(default=None, ge=0, le=1)
    skipped_reason: str | None = None
    answer: str | None = None
    latency_ms: float | None = None
    error: str | None = None
    failure_label: str | None = None


class Comparison(Frozen):
    """One paired comparison. base, candidate: pass rates in [0,1]; delta = candidate − base; interval at 95 %."""

    n: int = Field(description="paired questions that both sides could grade")
    base: float | None
    candidate: float | None
    delta: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None = Field(
        description="exact McNemar; one-sided (candidate better) for targeted, two-sided elsewhere"
    )
    gained: int = Field(default=0, description="questions base failed and candidate passed")
    lost: int = Field(default=0, description="questions base passed and candidate failed")


class Regression(Frozen):
    question_id: str
    slice: str
    targeted: bool
    base_answer: str | None = None
    candidate_answer: str | None = None


class SliceComparison(Comparison):
    slice: str


class Verdict(Frozen):
    """The decision and every number that led to it. Computed by burnish.verdict.decide from two lists of EvalRow."""

    verdict: VerdictName
    targeted: Comparison = Field(description="held-out targeted questions")
    trained: Comparison = Field(description="targeted questions that were trained on: shown, never decisive")
    rest: Comparison = Field(description="questions outside the cluster that no training row came from")
    anchored: Comparison = Field(description="questions outside the cluster used as anchors: shown, never decisive")
    regressions: list[Regression] = Field(description="rest questions lost beyond the noise of asking the base twice")
    noise_flip_rate: float | None = Field(
        description="share of rest questions whose base samples disagree; None where base was asked once"
    )
    flaky_questions: list[str] = Field(
        default=[], description="rest questions whose base samples disagree: noise, never a regression"
    )
    slices: list[SliceComparison] = Field(description="held-out questions by slice; p-values corrected by Holm")
    needs_questions: int | None = Field(
        description="how many more held-out targeted questions would settle it; None where settled"
    )
    reasons: list[str] = Field(description="sentences, most decisive first")
    warnings: list[str] = []


class EvalManifest(Manifest):
    """evals/<id>/manifest.json."""

    id: str
    base_model: str = Field(description="model name as asked over HTTP")
    candidate_model: str
    benchmark: str
    dataset: str | None = None
    verdict: VerdictName
