"""Run log lines, their manifest, and what diagnosis and review make of them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from burnish.schemas.base import Frozen, Manifest, Message

PASSING_GRADES = ("correct", "acceptable")
FAILING_GRADES = (
    "incorrect",
    "wrong",
    "unacceptable",
    "partial",
    "partially correct",
    "poor",
    "bad",
    "fail",
    "failed",
    "false",
)
NO_GRADE = "(none)"


class RunLogLine(BaseModel):
    """One graded run. Unknown keys are kept (`extra="allow"`), never dropped.

    The prompt is `messages` when present (what the model was really sent); else system_prompt, then evidence_text and
    question in one user message: see burnish.runlogs.prompt_messages.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    question_id: str = Field(min_length=1)
    question: str
    system_prompt: str = ""
    evidence_text: str = ""
    evidence_files: list[str] = []
    answer: str
    retrieval_hit: bool
    grade: str | None = Field(
        min_length=1, description="one of PASSING_GRADES or FAILING_GRADES; null: not graded. Another word is neither"
    )
    failure_label: str | None = None
    run_id: str | None = None
    messages: list[Message] | None = None
    expected_answer: str | None = None
    slice: str | None = None
    model: str | None = None
    timestamp: str | None = None
    latency_ms: float | None = None


class RejectedLine(Frozen):
    """A line that was not taken. line_number counts from 1."""

    line_number: int
    reason: str
    excerpt: str = Field(description="first 200 characters of the line")


class RunLogManifest(Manifest):
    """runlogs/<id>/manifest.json; id = digest of the accepted lines in order, without surrounding white space."""

    id: str
    name: str
    lines: int = Field(description="non-empty lines read")
    accepted: int
    rejected: int
    size_bytes: int = Field(description="of the JSONL as it came, decompressed")
    grades: dict[str, int] = Field(description="lines by grade; those with a null grade are under NO_GRADE")
    rejected_lines: list[RejectedLine] = Field(
        default=[], description="the first 100; all of them stand in the file rejected-<digest>.jsonl"
    )


class RunLogImport(Frozen):
    """Answer to an import."""

    manifest: RunLogManifest
    already_existed: bool


class FailureCluster(Frozen):
    """Model-attributed failures that share one label.

    size: failing lines; questions: distinct question ids; runs: distinct run ids it was seen in;
    repeated_questions: questions that failed with this label in two or more runs (or lines, where the log has no run ids).
    """

    label: str
    size: int
    questions: int
    runs: int
    repeated_questions: int
    share_of_failures: float = Field(ge=0, le=1)
    slices: dict[str, int] = {}
    candidate: bool
    why_not: str | None = Field(default=None, description="one sentence where candidate is false")
    examples: list[dict[str, Any]] = Field(
        default=[], description="up to 3: question_id, question, answer, expected_answer, slice"
    )


class Diagnosis(Frozen):
    """What a run log says. All counts are lines unless named otherwise."""

    run_log_id: str
    lines: int
    questions: int
    runs: int
    passing: int
    failing: int
    model_attributed: int = Field(description="failing with retrieval_hit true")
    retrieval_failures: int = Field(description="failing with retrieval_hit false: fix retrieval, not the model")
    unlabelled: int = Field(description="model-attributed without failure_label")
    ungraded: int = Field(default=0, description="lines with a null grade: neither passing nor failing")
    unknown_grades: dict[str, int] = Field(
        default={}, description="grade that is no known word -> lines: neither passing nor failing"
    )
    clusters: list[FailureCluster] = Field(description="largest first; those that are no candidates too, with why_not")


class ReviewItem(Frozen):
    """One line of the review file, in this field order. A person fills `corrected_output`; empty means not reviewed.

    The fields after it are for the reader, and are not needed for an import.
    """

    question_id: str
    question: str
    evidence_files: list[str] = []
    original_answer: str
    failure_label: str
    corrected_output: str = ""
    expected_answer: str = ""
    system_prompt: str = ""
    slice: str | None = None
    earlier_correction: str = Field(
        default="", description="that stood at the export; emptying corrected_output beside it takes it back"
    )


class ReviewImport(Frozen):
    """Answer to a review import: corrections stand for (run log, question_id); the newest wins and is counted as changed."""

    accepted: int
    changed: int
    empty: int = Field(description="lines whose corrected_output is still empty: not an error")
    removed: int = Field(default=0, description="earlier corrections that were taken back by emptying them")
    rejected_lines: list[RejectedLine] = []
