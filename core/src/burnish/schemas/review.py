"""What people decide about failed questions, and what it cost. Events are added, never changed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from burnish.schemas.base import Frozen, Message

ReviewState = Literal["open", "corrected", "accepted", "compared", "rated", "unsure", "dismissed", "flagged"]
STATES: tuple[ReviewState, ...] = (
    "open",
    "corrected",
    "accepted",
    "compared",
    "rated",
    "unsure",
    "dismissed",
    "flagged",
)
CORRECTIONS: tuple[ReviewState, ...] = ("corrected", "accepted")  # a dataset may use these
PREFERENCES: tuple[ReviewState, ...] = ("compared", "rated")  # DPO uses compared ones, KTO rated ones
Choice = Literal["a", "b", "tie", "neither", "up", "down"]
COMPARISONS: tuple[Choice, ...] = ("a", "b", "tie", "neither")
THUMBS: tuple[Choice, ...] = ("up", "down")
MOST_EVENTS = 2**53
PROMPT_KEY = r"^[0-9a-f]{64}$"
SuggestionGrade = Literal["passed", "failed", "ungraded"]
SUGGESTION_GRADES: tuple[SuggestionGrade, ...] = ("passed", "ungraded", "failed")  # the best first
SET_ASIDE: tuple[ReviewState, ...] = ("unsure", "dismissed", "flagged")  # these have a reason


class Preference(Frozen):
    """What a person thinks of two answers to one prompt, shown as A (on the left) and B; or of one alone: `a`, with a thumb up or down."""

    choice: Choice
    a: str
    b: str = Field(default="", description="empty with a thumb")
    a_source: str = Field(
        default="", description="whose answer it is: a model, or what proposed it; the curator fills it in"
    )
    b_source: str = ""

    @property
    def pair(self) -> tuple[str, str] | None:
        """(better, worse); None of a tie, of neither, and of a thumb."""
        return {"a": (self.a, self.b), "b": (self.b, self.a)}.get(self.choice)


class ReviewDecision(Frozen):
    """What somebody decides about a question."""

    question_id: str
    state: ReviewState = Field(
        description="corrected: written or edited; accepted: a suggestion as it is; compared, rated: with a preference; unsure, dismissed, flagged: with a reason; open: taken back"
    )
    output: str = Field(default="", description="the right answer; of corrected and accepted only")
    preference: Preference | None = Field(default=None, description="needed for compared and rated")
    reason: str = Field(default="", description="needed for unsure, dismissed and flagged")
    failure_label: str | None = Field(
        default=None, description="the failure that was looked at; default: the question's first"
    )
    version: int | None = Field(
        default=None,
        ge=0,
        le=MOST_EVENTS,
        description="number of the event that was looked at (0: none). If another stands now, the answer is 409. null: replace whatever stands",
    )
    author: str = Field(default="", max_length=100)
    seconds: float | None = Field(default=None, ge=0, le=1e9, description="that it took")
    prompt_key: str | None = Field(
        default=None,
        pattern=PROMPT_KEY,
        description="of the prompt that was looked at, as the review item has it: the correction is used for this prompt alone",
    )


class ReviewEvent(Frozen):
    """One row of the history. sequence: its number in the run log's review."""

    sequence: int
    question_id: str
    failure_label: str
    state: ReviewState
    output: str
    reason: str
    author: str
    at: AwareDatetime
    seconds: float | None = None
    preference: Preference | None = None
    undoes: int | None = Field(default=None, description="first event of the action that this one takes back")
    restores: int | None = Field(default=None, description="the event whose content stands again; 0: nothing stood")
    second: bool = Field(default=False, description="a second reviewer's opinion, which does not stand by itself")
    prompt_key: str | None = Field(
        default=None, description="of the prompt that was looked at (message_key); null: not recorded"
    )


class ReviewEffort(Frozen):
    """What people spent on some questions. Only decisions whose time was measured count."""

    items: int
    seconds: float
    reviewers: int


class Agreement(Frozen):
    """How far second reviewers decided as the first did."""

    items: int
    same: int
    alpha: float | None = Field(description="Krippendorff's, nominal; None if all decided one thing")


class ReviewProgress(Frozen):
    """Where a review stands. Counts are questions."""

    total: int
    states: dict[ReviewState, int]
    effort: ReviewEffort
    median_seconds: float | None = Field(default=None, description="of the last 20 decisions that were measured")
    agreement: Agreement | None = None
    suggestions: dict[SuggestionGrade, int] = Field(default={}, description="teachers' answers of the whole run log")


class ReviewPrompt(Frozen):
    """A question in view, as a teacher can be asked: the prompt of the failure that a reviewer sees."""

    question_id: str
    failure_label: str
    slice: str | None = None
    messages: list[Message]
    prompt_key: str = Field(description="of the messages (message_key)")
    problem: str = Field(default="", description="why no teacher can be asked this; empty: one can")


class TeacherAnswer(Frozen):
    """What another model answered to such a prompt. It is a suggestion, and no decision."""

    question_id: str
    failure_label: str
    text: str
    model: str = Field(min_length=1, max_length=200)
    host: str = Field(
        max_length=255, pattern=r"^[^/@?#\s]+$", description="of its endpoint, with the port: no path, no key"
    )
    prompt_key: str = Field(pattern=PROMPT_KEY, description="of the prompt that it answers")
    sampling: dict[str, Any] = Field(default={}, description="request parameters as they were sent")
    finish_reason: str | None = None
    prompt_tokens: int | None = Field(default=None, ge=0, le=2**53)
    completion_tokens: int | None = Field(default=None, ge=0, le=2**53)

    @property
    def teacher(self) -> str:
        return f"{self.model} at {self.host}"


class TeacherSuggestion(TeacherAnswer):
    """A teacher's answer as it is kept, with what a grader says of it."""

    grade: SuggestionGrade
    grader: str | None = Field(default=None, description="who graded it")
    detail: str = Field(default="", description="how it fails")
    at: AwareDatetime
    withdrawn: bool = Field(
        default=False, description="removed; it stays where a correction has its text, to say whose that is"
    )


class SuggestionTeacher(Frozen):
    """A teacher of a run log's review, and what it suggested."""

    model: str
    host: str
    grades: dict[SuggestionGrade, int]
    accepted: int = Field(description="of them: those whose text a person's correction has, word for word")
    newest: AwareDatetime


class SuggestionRemoval(Frozen):
    """What a removal of suggestions came to. They are shown and taken no more; the corrections stay."""

    removed: int
    accepted: int = Field(description="of them: those whose text a correction has, which still say whose that is")
