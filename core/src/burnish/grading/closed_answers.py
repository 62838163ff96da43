"""Graders whose answers are a closed list: which answers it holds, and what a blind guess at it is worth. Called by the eval client."""

from __future__ import annotations

from burnish.grading.registry import arguments
from burnish.schemas.benchmark import GraderSpec


def closed_answers(spec: GraderSpec) -> tuple[str, ...]:
    """Every answer that the grader knows, in the order to show them; empty if its answers are open. Raises InvalidInputError for a bad spec."""
    args = arguments(spec)
    if spec.name == "one_of":
        return tuple(args["labels"])
    if spec.name == "multiple_choice":
        return tuple(sorted(letter.upper() for letter in args["choices"] or {}))
    return ()


def chance(spec: GraderSpec) -> float | None:
    """How often a blind guess among the closed answers passes, in [0, 1]; None if the answers are open."""
    answers = closed_answers(spec)
    return 1 / len(answers) if answers else None
