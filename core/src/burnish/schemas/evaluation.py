"""Eval result rows, the eval manifest and the verdict."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from burnish.schemas.base import Frozen, Manifest

VerdictName = Literal["ship", "investigate", "data-quality", "stop", "inconclusive"]
ClaimAnswer = Literal["yes", "no", "unknown"]
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
    cluster: str | None = Field(
        default=None, description="questions that share a document share this; None: the question stands alone"
    )
    grader: str | None = Field(default=None, description="name of the grader")
    judge: str | None = Field(
        default=None,
        description="digest of judge model and rubric where a judge graded; binds the row to a calibration",
    )
    chance: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="how often a blind guess passes, if the answers are a closed list; None: no such list is known",
    )
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Comparison(Frozen):
    """One paired comparison. base, candidate: pass rates in [0,1]; delta = candidate − base; interval at 95 %."""

    n: int = Field(description="paired questions that both sides could grade")
    base: float | None
    candidate: float | None
    delta: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None = Field(
        description="exact sign-flip test (McNemar's where each question stands alone and is asked once); one-sided (candidate better) for targeted, two-sided elsewhere"
    )
    gained: int = Field(default=0, description="questions that the candidate passes more often than the base")
    lost: int = Field(default=0, description="questions that the candidate passes less often")


class ScoreComparison(Frozen):
    """Mean scores in [0,1], paired by question (mean over samples), groups respected. Shown beside pass/fail."""

    n: int
    base: float | None
    candidate: float | None
    delta: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None


class JudgeCalibration(Frozen):
    """How often a judge agrees with people: made by `burnish judge calibrate` from labelled answers.

    Bound to `judge` (digest of judge model + rubric): a calibration of another judge never applies. Rates in [0,1],
    intervals at 95 %.
    """

    judge: str
    judge_model: str
    rubric_digest: str
    n: int = Field(description="answers with a human label that the judge could grade")
    positives: int = Field(description="of these, passed by the human")
    kappa: float
    kappa_low: float
    kappa_high: float
    true_positive_rate: float
    true_positive_low: float
    true_positive_high: float
    true_negative_rate: float
    true_negative_low: float
    true_negative_high: float


class NoiseFloor(Frozen):
    """What the base does to its own results when asked again (A/A). None: asked once."""

    samples: int = Field(description="base samples a question")
    questions: int = Field(default=0, description="rest questions that the base was asked more than once")
    flip_rate: float | None = Field(description="share of rest questions whose base samples disagree")
    self_loss_rate: float | None = Field(
        description="how often one more sample fails a question that every other sample passed"
    )
    flaky: dict[str, float] = Field(default={}, description="question_id -> flip rate of the flaky rest questions")


class BaselineComparison(Frozen):
    """A baseline: the base model with a cheaper means than training, on the same questions."""

    name: str
    what: str = Field(description="a sentence: what it does")
    targeted: Comparison = Field(description="baseline against base, held-out targeted questions")
    rest: Comparison = Field(description="baseline against base, rest questions")
    against_candidate: Comparison = Field(
        description="held-out targeted questions: base = the adapter, candidate = the baseline, delta = baseline − adapter"
    )
    does_it: bool = Field(
        description="not worse than the adapter on the target (non-inferior), improves it, and holds the rest"
    )
    reason: str


class ProbeCategory(Comparison):
    category: str


class Forgetting(Frozen):
    """Base against adapter on the probe set that Burnish ships and on plain text. Never part of the two claims.

    Cross-entropy in nats a token, mean over texts weighted by tokens; delta = candidate − base (above 0: forgot).
    """

    probe: Comparison
    categories: list[ProbeCategory]
    lost: list[str] = Field(default=[], description="probe items that the base passed and the adapter fails")
    probe_version: str = Field(default="", description="digest of the probe set and its texts")
    ungraded: int = Field(default=0, description="probe items that one side or both gave no answer to: left out")
    texts: int = 0
    tokens: int = 0
    base_cross_entropy: float | None = None
    candidate_cross_entropy: float | None = None
    delta_cross_entropy: float | None = None
    delta_low: float | None = None
    delta_high: float | None = None
    cross_entropy_missing: str | None = Field(default=None, description="a sentence: why there is no cross-entropy")


class Cost(Frozen):
    """What one side cost to ask. money: in `currency`, None where no price was given."""

    side: str = Field(description="base, candidate, arm:<name>, probe, judge")
    asked: int = Field(description="requests really made; answers from a cache or a run log are not in here")
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = Field(default=0.0, description="sum of latencies")
    money: float | None = None
    currency: str = ""


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
    improved: ClaimAnswer | None = Field(default=None, description="did the target improve?")
    broke: ClaimAnswer | None = Field(default=None, description="did something else break?")
    targeted: Comparison = Field(description="held-out targeted questions")
    trained: Comparison = Field(description="targeted questions that were trained on: shown, never decisive")
    rest: Comparison = Field(description="questions outside the cluster that no training row came from")
    anchored: Comparison = Field(description="questions outside the cluster used as anchors: shown, never decisive")
    regressions: list[Regression] = Field(
        description="rest questions that regressed beyond the noise of asking the base twice"
    )
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
    needs_rest_questions: int | None = Field(
        default=None,
        description="how many more rest questions would show that the rest is not worse; None where settled",
    )
    margin: float = Field(
        default=0.02, description="the rest may be worse by less than this, in [0,1] (non-inferiority margin)"
    )
    targeted_score: ScoreComparison | None = None
    rest_score: ScoreComparison | None = None
    overall: Comparison | None = Field(
        default=None,
        description="all held-out questions, weighted to the whole benchmark; p_value: one-sided, that the target improved "
        "by more than its selection explains",
    )
    chance: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="pass rate of a guess on the held-out targeted questions, if known for each",
    )
    recovery_floor: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of failed questions that a mere change of answers brings back, measured by what it loses",
    )
    noise: NoiseFloor | None = None
    clusters: int = Field(default=0, description="independent groups of questions among those that decide")
    calibration: JudgeCalibration | None = Field(default=None, description="of the judge that graded rows, if any")
    judged: Comparison | None = Field(
        default=None, description="questions graded by an uncalibrated judge: shown, never decisive"
    )
    arms: list[BaselineComparison] = []
    cheaper_rung: str | None = Field(default=None, description="name of the baseline that does it, None if none does")
    provider: str | None = Field(
        default=None, description="who answered for both, its own base model and the tuned one; None: no remote model"
    )
    reasons: list[str] = Field(description="sentences, most decisive first")
    warnings: list[str] = []


class BaselineRecord(Frozen):
    """What a baseline did, so that its rows can be read and made again."""

    name: str
    what: str = Field(description="a sentence")
    file: str = Field(description="its rows, in the eval's folder; empty if it was not asked")
    not_applicable: str | None = Field(default=None, description="why it was not asked: it would have changed nothing")
    changed: int = Field(description="questions that the baseline asked in another way")
    plain: int = Field(description="questions that it had to ask as the base is asked")
    details: dict[str, Any] = {}


class EvalManifest(Manifest):
    """evals/<id>/manifest.json."""

    id: str
    base_model: str = Field(description="model name as asked over HTTP")
    candidate_model: str
    benchmark: str
    dataset: str | None = None
    verdict: VerdictName
    arms: list[BaselineRecord] = []
