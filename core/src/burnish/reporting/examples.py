"""Questions whose outcome changed, with both answers: what a person reads to believe a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from burnish.pairing import Pair
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.evaluation import EvalRow


@dataclass(frozen=True)
class Example:
    """One question, both answers, and how each side failed where it did."""

    question_id: str
    slice: str
    question: str
    expected: str
    base_passed: bool
    candidate_passed: bool
    base_answer: str | None
    candidate_answer: str | None
    base_label: str | None
    candidate_label: str | None


def fixed(pairs: Sequence[Pair]) -> list[Pair]:
    """Held-out targeted questions that the base failed and the candidate passes."""
    return [p for p in pairs if p.targeted and p.held_out and p.candidate_passed and not p.base_passed]


def still_failing(pairs: Sequence[Pair]) -> list[Pair]:
    """Held-out targeted questions that the candidate fails."""
    return [p for p in pairs if p.targeted and p.held_out and not p.candidate_passed]


def example(
    pair: Pair, questions: dict[str, BenchmarkQuestion], base_labels: dict[str, str], candidate_labels: dict[str, str]
) -> Example:
    question = questions.get(pair.question_id)
    return Example(
        question_id=pair.question_id,
        slice=pair.slice,
        question=_text(question) if question else "",
        expected=question.expected_answer if question else "",
        base_passed=pair.base_passed,
        candidate_passed=pair.candidate_passed,
        base_answer=pair.base_answer,
        candidate_answer=pair.candidate_answer,
        base_label=base_labels.get(pair.question_id),
        candidate_label=candidate_labels.get(pair.question_id),
    )


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


def _text(question: BenchmarkQuestion) -> str:
    if question.question:
        return question.question
    return next((m.content for m in reversed(question.prompt_messages()) if m.role == "user"), "")
