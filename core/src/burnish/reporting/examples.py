"""Questions whose outcome changed, with both answers and what differs: what a person reads to believe a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from burnish.reporting.differences import Segment, mark_differences
from burnish.reporting.escaping import visible
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.evaluation import EvalRow
from burnish.verdict import Pair

Outcome = Literal["regression", "regressed", "fixed", "still failing"]
ORDER: tuple[Outcome, ...] = ("regression", "regressed", "fixed")


@dataclass(frozen=True)
class Answer:
    """One side's answer as segments made visible; None if there is none. label: how it failed, None if it passed."""

    passed: bool
    label: str | None
    segments: list[Segment] | None


@dataclass(frozen=True)
class Example:
    """One question with both answers. same: the two answers are one text, so that only the grading tells them apart."""

    question_id: str
    slice: str
    group: str
    outcome: Outcome
    question: str
    expected: str
    base: Answer
    candidate: Answer
    same: bool

    @property
    def label(self) -> str | None:
        """How the side that fails fails."""
        return self.candidate.label if self.outcome != "fixed" else self.base.label


class Examples:
    """Makes examples out of pairs; knows the questions and how each side failed."""

    def __init__(
        self, questions: dict[str, BenchmarkQuestion], base_labels: dict[str, str], candidate_labels: dict[str, str]
    ) -> None:
        self.questions, self.base_labels, self.candidate_labels = questions, base_labels, candidate_labels

    def of(self, p: Pair, regressions: Collection[str]) -> Example:
        question = self.questions.get(p.question_id)
        base, candidate = visible(p.base_answer), visible(p.candidate_answer)
        segments = mark_differences(base, candidate)
        if p.base_answer is None or p.candidate_answer is None:
            segments = [Segment(base, changed=False)], [Segment(candidate, changed=False)]
        return Example(
            question_id=p.question_id,
            slice=p.slice,
            group=_group(p),
            outcome=_outcome(p, regressions),
            question=_text(question) if question else "",
            expected=question.expected_answer if question else "",
            base=_answer(p.base_passed, self.base_labels.get(p.question_id), p.base_answer, segments[0]),
            candidate=_answer(
                p.candidate_passed, self.candidate_labels.get(p.question_id), p.candidate_answer, segments[1]
            ),
            same=p.base_answer is not None and p.base_answer == p.candidate_answer,
        )


def _answer(passed: bool, label: str | None, text: str | None, segments: list[Segment]) -> Answer:
    return Answer(passed, None if passed else label or "failed", None if text is None else segments)


def discordant(pairs: Sequence[Pair], regressions: Collection[str]) -> list[Pair]:
    """Pairs whose outcome changed: regressions first, then other losses, then gains; by slice and name within each."""
    changed = [p for p in pairs if p.base_passed != p.candidate_passed or p.question_id in regressions]
    return sorted(changed, key=lambda p: (ORDER.index(_outcome(p, regressions)), p.slice, p.question_id))


def still_failing(pairs: Sequence[Pair]) -> list[Pair]:
    """Held-out targeted questions that neither side passes."""
    return [p for p in pairs if p.targeted and p.held_out and not p.candidate_passed and not p.base_passed]


def labels_of(rows: Sequence[EvalRow]) -> dict[str, str]:
    """question_id -> the failure label of its first failing sample."""
    labels: dict[str, str] = {}
    for row in rows:
        if row.passed is False:
            labels.setdefault(row.question_id, row.failure_label or "failed")
    return labels


def count_labels(pairs: Sequence[Pair], labels: dict[str, str]) -> list[tuple[str, int]]:
    """How the given questions failed, most frequent first."""
    counts = Counter(labels[p.question_id] for p in pairs if p.question_id in labels)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _outcome(p: Pair, regressions: Collection[str]) -> Outcome:
    if p.question_id in regressions:
        return "regression"
    if p.base_passed == p.candidate_passed:
        return "still failing"
    return "fixed" if p.candidate_passed else "regressed"


def _group(p: Pair) -> str:
    if p.targeted:
        return "targeted, held out" if p.held_out else "targeted, trained on"
    return "rest, held out" if p.held_out else "rest, used as anchor"


def _text(question: BenchmarkQuestion) -> str:
    if question.question:
        return question.question
    return next((m.content for m in reversed(question.prompt_messages()) if m.role == "user"), "")
