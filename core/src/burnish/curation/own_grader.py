"""A correction is checked by the grader of its own question: what that would mark wrong is not to be trained on.

The grader is known from the benchmark that guards the dataset, or from the run log, whose lines may carry `grader` (those of
`burnish benchmark run` do).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from burnish.errors import InvalidInputError
from burnish.grading import grade
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec


@dataclass(frozen=True)
class OwnGrader:
    """A question's grader, and the answer that it expects."""

    spec: GraderSpec
    expected_answer: str


def logged_grader(extra: Mapping[str, Any] | None, expected_answer: str | None) -> OwnGrader | None:
    """The grader among a run log line's extra keys; None if there is none that can be read, or no expected answer."""
    named = (extra or {}).get("grader")
    if not expected_answer or not isinstance(named, dict):
        return None
    try:
        return OwnGrader(GraderSpec.model_validate(named), expected_answer)
    except ValidationError:
        return None


def benchmark_graders(questions: Iterable[BenchmarkQuestion]) -> dict[str, OwnGrader]:
    """By question id."""
    return {q.question_id: OwnGrader(q.grader, q.expected_answer) for q in questions}


def objection(own: OwnGrader | None, correction: str) -> str | None:
    """How the grader fails the correction, as a sentence; None if it passes, skips (as a judge does), or there is none."""
    if own is None:
        return None
    try:
        graded = grade(own.spec, correction, own.expected_answer)
    except InvalidInputError:  # a run log may name a grader that this version does not know
        return None
    if graded.passed is not False:
        return None
    return f"the question's own grader, {own.spec.name}, fails it as {graded.failure_label} ({graded.detail})"


def passes(own: OwnGrader | None, correction: str | None) -> bool:
    """Whether there is a grader that says so."""
    if own is None or correction is None:
        return False
    try:
        return grade(own.spec, correction, own.expected_answer).passed is True
    except InvalidInputError:
        return False
