"""Dataset versions: the spec they are built by, their rows and their manifest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from burnish.schemas.base import Frozen, Manifest, Message
from burnish.schemas.review import ReviewEffort

LeftOutAction = Literal["left out", "masked", "doubted"]
DatasetFormat = Literal["sft", "dpo", "kto"]
ExportForm = Literal["rows", "prompt-completion", "openai-messages", "dpo", "kto", "together", "vertex"]


class DatasetSpec(Frozen):
    """What to build. The same spec on the same run log and corrections gives the same version."""

    name: str
    run_log_id: str
    labels: list[str] = Field(min_length=1, description="failure labels whose reviewed questions are targeted")
    format: DatasetFormat = "sft"
    held_out_share: float = Field(default=0.3, gt=0, lt=1, description="share of targeted questions never trained on")
    validation_share: float = Field(
        default=0.1, ge=0, lt=1, description="share of the training rows used for validation loss"
    )
    anchor_ratio: float = Field(default=0.5, ge=0, le=10, description="anchor examples per correction (SFT and KTO)")
    anchor_pool_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of the passing questions that anchors may come from; the others stay benchmark-only",
    )
    benchmark: str | None = Field(
        default=None,
        description="name/version of a benchmark: its questions outside the training split are guarded against leakage",
    )
    seed: int = 0
    slices: list[str] = Field(default=[], description="only targeted questions of these slices; empty: of all")
    uncorrected: bool = Field(
        default=True,
        description="KTO: bad answers without a correction are kept as unwanted; the other formats need one",
    )
    preferences: bool = Field(
        default=True,
        description="DPO and KTO: questions without a correction that have a preference (DPO) or a thumb (KTO) give rows of it",
    )
    near_duplicates: Literal["drop", "keep"] = Field(
        default="drop",
        description="drop: questions that ask nearly the same stay on one side of the split, and of rows that also answer the same one is kept",
    )
    contamination: Literal["drop", "warn"] = Field(
        default="drop", description="training rows that ask nearly what a benchmark question asks"
    )
    paraphrases: Literal["warn", "drop", "off"] = Field(
        default="warn",
        description="training rows that may ask a benchmark question in other words, by an embedding; warn: they stay and are named",
    )
    secrets: Literal["drop", "mask", "keep"] = Field(
        default="drop", description="training rows with keys, tokens or passwords in their text; mask: `[SECRET]`"
    )
    personal_data: Literal["keep", "mask", "drop"] = Field(
        default="keep",
        description="training rows with e-mail addresses, IBANs, cards, telephone numbers or IP addresses in their text; mask: `[E-MAIL]` …",
    )
    source: Literal["human", "teacher"] = Field(
        default="human",
        description="whose corrections: human: people's alone; teacher: also, where nobody has decided, a teacher's answer that a grader passes",
    )
    take_ungraded: bool = Field(
        default=False, description="source teacher: also answers that nothing has graded; never one that failed"
    )
    clustering: str | None = Field(
        default=None,
        description="version of the run log's clustering that the labels are of; unset: the newest, if a label is one of its names",
    )


class SftRow(Frozen):
    """A line of train.jsonl or validation.jsonl, format sft. TRL's conversational prompt/completion."""

    question_id: str
    source: Literal["correction", "anchor"]
    prompt: list[Message]
    completion: list[Message]


class DpoRow(Frozen):
    """A line of train.jsonl or validation.jsonl, format dpo.

    source: correction, chosen over the model's own wrong answer; preference, two answers that a person compared.
    """

    question_id: str
    source: Literal["correction", "preference"]
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]


class KtoRow(Frozen):
    """A line of train.jsonl or validation.jsonl, format kto: one answer, and whether it is wanted (thumbs up or down).

    source: correction, wanted; logged, the model's own wrong answer, unwanted; anchor, its own passing answer, wanted; preference, an
    answer with a person's thumb up or down.
    """

    question_id: str
    source: Literal["correction", "logged", "anchor", "preference"]
    prompt: list[Message]
    completion: list[Message]
    label: bool


class LengthStatistics(Frozen):
    """Lengths of whole rows (prompt and completion by the chat template where unit is tokens)."""

    unit: Literal["tokens", "characters"]
    tokenizer: str | None = None
    base_model_digest: str | None = Field(
        default=None, description="of the model whose tokenizer counted, where its folder records one"
    )
    minimum: int
    median: float
    p95: float
    maximum: int
    total: int


class Split(Frozen):
    """Which question went where. Disjoint except that targeted = train/validation corrections + held_out; questions with one prompt stay together."""

    targeted: list[str]
    held_out: list[str]
    train: list[str] = Field(description="targeted questions in train.jsonl")
    validation: list[str] = Field(description="targeted questions in validation.jsonl")
    anchors: list[str] = Field(description="passing questions mixed in as anchors")


class DatasetCounts(Frozen):
    corrections: int
    anchors: int
    preferences: int = Field(
        default=0, description="rows of two answers that a person compared, or of one with a thumb"
    )
    train: int = Field(description="lines of train.jsonl")
    validation: int = Field(description="lines of validation.jsonl")
    held_out: int = Field(description="targeted questions kept for evaluation")
    discarded: dict[str, int] = Field(default={}, description="reason -> how many review items or anchor candidates")
    anchors_wanted: int | None = Field(default=None, description="anchors that were asked for; None: not recorded")
    anchors_by_slice: dict[str, int] = Field(default={}, description="slice -> anchors")
    by_label: dict[str, int] = Field(default={}, description="failure label -> targeted questions that are trained on")
    by_slice: dict[str, int] = Field(default={}, description="slice -> targeted questions that are trained on")
    effective_clusters: float | None = Field(
        default=None, description="exp of the entropy of by_label: how many labels of one size would be as varied"
    )
    provenance: dict[str, int] = Field(default={}, description="who wrote the rows' answers -> rows")
    grader_verified: int | None = Field(
        default=None, description="corrections that the question's own grader passes; None: not recorded"
    )
    masked: dict[str, int] = Field(default={}, description="reason -> questions whose rows were masked")
    doubted: dict[str, int] = Field(default={}, description="reason -> questions whose rows stayed, with a doubt")
    secrets: dict[str, int] = Field(
        default={}, description="kind -> rows with such a secret that stayed, masked or not"
    )
    personal_data: dict[str, int] = Field(
        default={}, description="kind -> rows with such data that stayed, masked or not"
    )
    rest: int | None = Field(
        default=None, description="questions of the benchmark, else of the run log, that decide whether the rest holds"
    )


class LeftOut(Frozen):
    """A line of left-out.jsonl: a question that a gate left out of the rows, masked in them, or doubts. It has no text of the rows."""

    question_id: str
    action: LeftOutAction = Field(description="the rows of a doubted question stay")
    reason: str
    like: str | None = Field(default=None, description="the question that it is like")
    similarity: float | None = Field(default=None, description="to that one, 0 to 1")


RowOriginKind = Literal["corrected", "accepted", "grader-verified", "teacher"]


class RowOrigin(Frozen):
    """Corrections that are trained on, and who is behind them."""

    kind: RowOriginKind = Field(
        description="corrected, accepted: a person wrote it, or took a suggestion; grader-verified: a teacher's answer that a grader passed; "
        "teacher: one that nothing has graded"
    )
    teacher: str | None = Field(default=None, description="`MODEL at HOST` whose answer it is")
    questions: list[str] = Field(description="ascending; their rows have this id")


class DatasetManifest(Manifest):
    """datasets/<name>/<version>/manifest.json; version = version_of(train.jsonl, validation.jsonl, spec with split)."""

    name: str
    version: str
    spec: DatasetSpec
    counts: DatasetCounts
    split: Split
    lengths: LengthStatistics
    warnings: list[str] = Field(default=[], description="sentences: what will weaken training or its evaluation")
    origins: list[RowOrigin] = Field(
        default=[], description="of every row that is a correction: who is behind it; empty: not recorded"
    )
    review: ReviewEffort | None = Field(
        default=None, description="what people spent on the questions of its rows; None: nothing was measured"
    )
