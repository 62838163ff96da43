"""A review file read back: what its lines decide, each checked, and which are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.curation.jsonl import read_jsonl, rejected
from burnish.curation.preferences.answers import Answer
from burnish.curation.preferences.checking import with_known_answers
from burnish.curation.preferences.items import preference_of
from burnish.curation.review.items import Correction, KnownFailures, refusal
from burnish.schemas.review import CORRECTIONS, PREFERENCES, SET_ASIDE, THUMBS, ReviewDecision, ReviewState
from burnish.schemas.runlog import RejectedLine, ReviewItem

# of each decision the answers to the prompt that it is about
AnswersFor = Callable[[Sequence[ReviewDecision]], Sequence[Sequence[Answer]]]


@dataclass
class ReviewedFile:
    """What a review file came to: what it decides, count of items left empty, and lines refused. line_of: the line of each question."""

    decisions: list[ReviewDecision] = field(default_factory=list)
    line_of: dict[str, int] = field(default_factory=dict)
    empty: int = 0
    rejected_lines: list[RejectedLine] = field(default_factory=list)

    @property
    def corrections(self) -> list[Correction]:
        return [
            Correction(d.question_id, d.failure_label or "", d.output, d.prompt_key)
            for d in self.decisions
            if d.state in CORRECTIONS
        ]

    @property
    def emptied(self) -> list[str]:
        """Questions whose state is taken back."""
        return [decision.question_id for decision in self.decisions if decision.state == "open"]


def read_review(chunks: Iterable[bytes], known: KnownFailures, answers_for: AnswersFor | None = None) -> ReviewedFile:
    """Decisions from a review file. known: (question_id, failure_label) -> the failure that was shown for it.

    A filled line is a correction or a preference, whatever its state says. A line is refused, with its number and the reason, when its
    question or label is not in the log, when its correction is not text, repeats the wrong answer or fails the
    question's own grader, when its preference is about answers that the question does not have (answers_for; None: there are none), when
    its state needs a reason, or when another line decides the same question otherwise (both
    are refused). An empty line that was exported with an earlier correction or preference takes that back; so does the state `open`.
    """
    result = ReviewedFile()
    by_question: dict[str, list[tuple[int, ReviewDecision]]] = {}
    emptied: list[tuple[int, ReviewDecision]] = []
    preferring: list[tuple[int, ReviewItem, ReviewDecision]] = []

    def admit(number: int, item: ReviewItem, decision: ReviewDecision, answers: Sequence[Answer] = ()) -> None:
        decision = with_known_answers(decision, answers)
        if reason := refusal(decision, known, answers):
            result.rejected_lines.append(rejected(number, item.model_dump_json().encode(), reason))
        else:
            by_question.setdefault(item.question_id, []).append((number, decision))

    for number, item in read_jsonl(chunks, ReviewItem):
        if isinstance(item, RejectedLine):
            result.rejected_lines.append(item)
            continue
        decision = _decision_of(item)
        if decision is None or decision.state == "open":
            result.empty += 1
            if decision is not None:
                emptied.append((number, decision))
            continue
        if decision.preference:
            preferring.append((number, item, decision))
        else:
            admit(number, item, decision)
    decisions = [decision for *_, decision in preferring]
    answers = answers_for(decisions) if answers_for and decisions else [()] * len(decisions)
    for (number, item, decision), found in zip(preferring, answers, strict=True):
        admit(number, item, decision, found)
    for question_id, lines in by_question.items():
        _settle(question_id, lines, result)
    for number, decision in emptied:
        if decision.question_id not in result.line_of:
            result.decisions.append(decision)
            result.line_of[decision.question_id] = number
    result.rejected_lines.sort(key=lambda line: line.line_number)
    return result


def _decision_of(item: ReviewItem) -> ReviewDecision | None:
    """What a line decides; None: nothing."""
    fields: dict[str, Any] = {
        "question_id": item.question_id,
        "failure_label": item.failure_label,
        "version": item.version,
        "prompt_key": item.prompt_key,
    }
    preference = preference_of(item)
    if item.corrected_output.strip():
        if item.corrected_output == item.earlier_correction:
            fields["prompt_key"] = (
                None  # nobody wrote it for this prompt now: it stays with the one that it was written for
            )
        is_taken = item.state == "accepted" or item.corrected_output == item.suggestion
        state: ReviewState = "accepted" if is_taken else "corrected"
        return ReviewDecision(**fields, state=state, output=item.corrected_output, preference=preference)
    if preference:
        state = "rated" if preference.choice in THUMBS else "compared"
        return ReviewDecision(**fields, state=state, preference=preference)
    if item.state in SET_ASIDE:
        return ReviewDecision(**fields, state=item.state, reason=item.reason)
    if item.earlier_correction or item.state in PREFERENCES or (item.state == "open" and item.version):
        return ReviewDecision(**fields, state="open")
    return None


def _settle(question_id: str, given: list[tuple[int, ReviewDecision]], result: ReviewedFile) -> None:
    """Keep what all lines of a question agree on; refuse them all where they do not."""
    if len({(d.state in CORRECTIONS, d.output, d.reason, d.preference) for _, d in given}) == 1:
        result.line_of[question_id], decision = given[0]
        result.decisions.append(decision)
        return
    numbers = [number for number, _ in given]
    for number, decision in given:
        others = ", ".join(str(other) for other in numbers if other != number)
        field_name = "preference" if decision.preference else "corrected_output"
        reason = f"{field_name}: {question_id!r} is decided otherwise on line {others}; keep one"
        result.rejected_lines.append(rejected(number, decision.output.encode(), reason))
