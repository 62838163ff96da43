"""Drafts a benchmark from a run log: its questions with the answers that are known to be right. Called by `burnish benchmark draft`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from burnish.curation.own_grader import logged_grader
from burnish.grading.signatures import ASKS_FOR_JSON
from burnish.runlogs.prompts import is_plain, prompt_messages
from burnish.schemas.base import Message, message_key
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.runlog import FAILING_GRADES, PASSING_GRADES, ReviewItem, RunLogLine

NOT_PLAIN = "asked with tool calls, images or files"
NOT_KNOWN = "neither graded nor with an expected answer"
TRAINED_ON = "open, and trained on"


class Origin(IntEnum):
    """Who says that an answer is right, the surest first. OPEN: nobody; a person has to write it."""

    REVIEWED = 0
    EXPECTED = 1
    PASSED = 2
    OPEN = 3


@dataclass(frozen=True)
class Known:
    """The right answer to a question (empty: open), and the line whose prompt it is for."""

    origin: Origin
    answer: str
    line: RunLogLine


@dataclass
class Draft:
    """known: by question, in the order of the log. left_out: reason -> questions."""

    known: dict[str, Known] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def origins(self) -> Counter[Origin]:
        return Counter(known.origin for known in self.known.values())

    def questions(self, grader: GraderSpec | None = None) -> list[BenchmarkQuestion]:
        """Open questions first, so that whoever fills them in finds them. grader: of those whose line names none."""
        ordered = sorted(self.known.items(), key=lambda item: item[1].origin is not Origin.OPEN)
        return [_question(question_id, known, grader) for question_id, known in ordered]


def draft_benchmark(
    lines: Iterable[RunLogLine], reviewed: Mapping[str, ReviewItem], trained: Collection[str] = ()
) -> Draft:
    """Of each question the answer that is surest to be right: a reviewer's, else the log's expected answer, else a run's that passed.

    A question that only failed is open. reviewed: what was corrected or accepted, by question; it counts for its own prompt. trained:
    questions that a dataset trains on: open ones of these are left out, since nobody needs to write answers to them.
    """
    draft = Draft()
    reasons: dict[str, str] = {}
    for line in lines:
        prompt = prompt_messages(line)
        if not is_plain(line) or prompt[-1].role == "assistant":
            reasons.setdefault(line.question_id, NOT_PLAIN)
            continue
        best = draft.known.get(line.question_id)
        for known in _known(line, prompt, reviewed.get(line.question_id)):
            if known.origin is Origin.OPEN and line.question_id in trained:
                reasons[line.question_id] = TRAINED_ON
            elif best is None or known.origin < best.origin:
                best = draft.known[line.question_id] = known
        if best is None:
            reasons.setdefault(line.question_id, NOT_KNOWN)
    draft.left_out.update(reason for question_id, reason in reasons.items() if question_id not in draft.known)
    return draft


def _known(line: RunLogLine, prompt: list[Message], item: ReviewItem | None) -> Iterator[Known]:
    word = (line.grade or "").strip().casefold()
    if item is not None and item.prompt_key in (None, message_key(prompt)):
        yield Known(Origin.REVIEWED, item.corrected_output, line)
    if (line.expected_answer or "").strip():
        yield Known(Origin.EXPECTED, line.expected_answer or "", line)
    if word in PASSING_GRADES and line.answer.strip():
        yield Known(Origin.PASSED, line.answer, line)
    if word in FAILING_GRADES:
        yield Known(Origin.OPEN, "", line)


def _question(question_id: str, known: Known, grader: GraderSpec | None) -> BenchmarkQuestion:
    line = known.line
    prompt = prompt_messages(line)
    own = logged_grader(line.model_extra, known.answer)
    return BenchmarkQuestion(
        question_id=question_id,
        messages=prompt,
        expected_answer=known.answer,
        grader=own.spec if own else grader or _usual_grader(prompt, known.answer),
        slice=line.slice or "all",
        question=line.question,
        evidence_text=line.evidence_text,
        evidence_files=line.evidence_files,
        extra={"answer_from": known.origin.name.lower()},
    )


def _usual_grader(prompt: list[Message], answer: str) -> GraderSpec:
    """JSON objects are compared field by field, anything else is looked for in the answer. Of an open question the instructions decide."""
    told = "\n".join(message.content for message in prompt if message.role == "system")
    is_object = _is_object(answer) if answer else bool(ASKS_FOR_JSON.search(told))
    return GraderSpec(name="json_fields" if is_object else "contains")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
