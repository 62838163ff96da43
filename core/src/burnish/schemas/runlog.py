"""Run log lines, their manifest, and what diagnosis and review make of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from burnish.schemas.base import Frozen, Manifest
from burnish.schemas.logged import UNGRADED, LoggedMessage, reshaped
from burnish.schemas.review import MOST_EVENTS, PROMPT_KEY, ReviewState, SuggestionGrade

PASSING_GRADES = ("correct", "acceptable", "pass", "passed", "true")
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
UNLABELLED = "(unlabelled)"  # what failures without a label are listed under


class GradedBy(Frozen):
    """Who gave a grade, and by which rule."""

    model_config = ConfigDict(frozen=True, extra="allow")

    source: str = Field(description="human, code or model")
    rule: str | None = Field(default=None, description="what turned a score into the grade, as `--score` takes it")
    confidence: float | None = None


class RunLogLine(BaseModel):
    """One run. Unknown keys are kept (`extra="allow"`), never dropped. Text may be given as a number.

    The prompt is `messages` when present (what the model was really sent); else system_prompt, then evidence_text and
    question in one user message: see burnish.runlogs.prompts.
    """

    model_config = ConfigDict(frozen=True, extra="allow", coerce_numbers_to_str=True)

    question_id: str = Field(min_length=1)
    question: str
    system_prompt: str = ""
    evidence_text: str = ""
    evidence_files: list[str] = []
    answer: str = Field(description="null: none, as beside tool calls")
    retrieval_hit: bool | None = Field(
        default=None, description="whether the evidence was there (hit, miss); null: unknown, or nothing is retrieved"
    )
    grade: str | None = Field(
        min_length=1,
        description="one of PASSING_GRADES or FAILING_GRADES, true or false; null or `ungraded`: not graded. An import asks about another word",
    )
    failure_label: str | None = None
    run_id: str | None = None
    messages: list[LoggedMessage] | None = None
    expected_answer: str | None = None
    slice: str | None = None
    model: str | None = None
    timestamp: str | None = Field(default=None, strict=True, description="ISO 8601; a number since 1970 becomes that")
    latency_ms: float | None = None
    user_id: str | None = None
    trace_id: str | None = None
    finish_reason: str | None = None
    correction: str | None = Field(
        default=None,
        description="what somebody wrote elsewhere that the answer should have been; never accepted by itself",
    )
    tool_calls: Any = Field(default=None, description="what the answer calls")
    feedback: Any = Field(default=None, description="everything that was said of the answer: scores, thumbs, comments")
    graded_by: GradedBy | None = None

    @classmethod
    def read(cls, line: Any) -> Self:
        """A line in any of the shapes that applications log: at once if it is in ours, else with its values brought into it."""
        try:
            read: Self = cls.__pydantic_validator__.validate_python(
                line
            )  # model_validate's own call: half a million lines come here
        except ValidationError:
            if not isinstance(line, dict):
                raise
            read = cls.model_validate(reshaped(line))
        grade = read.grade
        if grade is not None and len(grade) == len(UNGRADED) and grade.casefold() == UNGRADED:
            return read.model_copy(update={"grade": None})
        return read


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
    erased: int = Field(default=0, description="lines that were erased; the id is the digest of what there was before")
    erasures: list[str] = Field(default=[], description="ids of the erasures that did it")
    rejected_lines: list[RejectedLine] = Field(
        default=[], description="the first 100; all of them stand in the file rejected-<digest>.jsonl"
    )


class RunLogImport(Frozen):
    """Answer to an import."""

    manifest: RunLogManifest
    already_existed: bool


class FailureCluster(Frozen):
    """Model-attributed failures that share one label.

    size: failing lines; questions: distinct question ids; runs: distinct run ids it was seen in; asked_again: of the questions, those with
    a grade in two or more runs; repeated_questions: those that failed with this label in two or more. Where the log has no run ids, a line is a run.
    """

    label: str
    size: int
    questions: int
    runs: int
    asked_again: int = Field(default=0, description="0 also where a report from before says nothing of it")
    repeated_questions: int
    share_of_failures: float = Field(ge=0, le=1)
    slices: dict[str, int] = {}
    candidate: bool
    why_not: str | None = Field(default=None, description="one sentence where candidate is false")
    examples: list[dict[str, Any]] = Field(
        default=[], description="up to 3: question_id, question, answer, expected_answer, slice"
    )


Problem = Literal[
    "retrieval",
    "unlabelled",
    "service",
    "unsure-grader",
    "contradictory",
    "too-few",
    "one-off",
    "cut-off",
    "form",
    "evidence-misuse",
    "unlabelled-evidence",
    "instructions",
    "behaviour",
]


class Advice(Frozen):
    """The cheapest thing to try first against a failure cluster, or against failures of the whole log."""

    label: str | None = Field(default=None, description="the cluster; null: of the whole log")
    problem: Problem
    evidence: str = Field(description="what was counted")
    first: str = Field(description="what to try first")
    command: str | None = Field(default=None, description="that tries it, if a command can")
    tune: Literal["no", "not-yet"] = Field(
        description="no: fine-tuning does not mend this; not-yet: it may, if what is cheaper does not"
    )


class Diagnosis(Frozen):
    """What a run log says. All counts are lines unless named otherwise."""

    run_log_id: str
    lines: int
    questions: int
    runs: int
    passing: int
    failing: int
    model_attributed: int = Field(description="failing, and retrieval did not miss")
    retrieval_failures: int = Field(description="failing with retrieval_hit false: fix retrieval, not the model")
    retrieval_unknown: int = Field(
        default=0, description="of model_attributed: nothing is known of retrieval, so they count as the model's"
    )
    unlabelled: int = Field(description="model-attributed without failure_label")
    ungraded: int = Field(default=0, description="lines with a null grade: neither passing nor failing")
    unknown_grades: dict[str, int] = Field(
        default={}, description="grade that is no known word -> lines: neither passing nor failing"
    )
    clusters: list[FailureCluster] = Field(description="largest first; those that are no candidates too, with why_not")
    advice: list[Advice] = Field(
        default=[], description="of the log, then of its clusters, largest first; the first 20"
    )


def _typed(choice: Any) -> Any:
    """As people type it into a spreadsheet."""
    return choice.strip().casefold() if isinstance(choice, str) else choice


class ReviewItem(Frozen):
    """One line of the review file, in this field order. A person fills `corrected_output` or `preference`; both empty means not reviewed.

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
    state: ReviewState | None = Field(
        default=None,
        description="where the question stands. unsure, dismissed and flagged need a reason; open takes such a state back",
    )
    reason: str = ""
    author: str = Field(default="", description="who decided; not read back")
    version: int | None = Field(
        default=None,
        ge=0,
        le=MOST_EVENTS,
        description="of what stood at the export (0: nothing); what somebody decided since is not overwritten",
    )
    prompt_key: str | None = Field(
        default=None,
        pattern=PROMPT_KEY,
        description="of the prompt that this item shows: the correction is used for it alone",
    )
    suggestion: str = Field(
        default="", description="the best answer of a teacher; as corrected_output it counts as accepted"
    )
    suggested_by: str = Field(default="", description="its model and host; not read back")
    suggestion_grade: SuggestionGrade | None = Field(
        default=None, description="what a grader says of it; not read back"
    )
    answer_a: str = Field(default="", description="one of two answers to the prompt; empty where there are no two")
    answer_b: str = ""
    preference: Annotated[Literal["", "a", "b", "tie", "neither", "up", "down"], BeforeValidator(_typed)] = Field(
        default="",
        description="a, b, tie or neither, of answer_a and answer_b; or up or down, of original_answer. Emptied, it is taken back",
    )


class ReviewImport(Frozen):
    """Answer to a review import: corrections stand for (run log, question_id); the newest wins and is counted as changed."""

    accepted: int
    changed: int
    empty: int = Field(description="lines whose corrected_output is still empty: not an error")
    removed: int = Field(default=0, description="earlier corrections that were taken back by emptying them")
    preferred: int = Field(default=0, description="lines with a preference or a thumb")
    set_aside: int = Field(default=0, description="lines that are unsure, dismissed or flagged")
    rejected_lines: list[RejectedLine] = []


class SuggestionImport(Frozen):
    """Answer to teachers' answers: how many were kept, by grade, and which were not."""

    grades: dict[SuggestionGrade, int]
    rejected_lines: list[RejectedLine] = []
