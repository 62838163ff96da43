"""What a grader asks of the endpoint beside the answer, and of the eval run before it can grade."""

from __future__ import annotations

from typing import Any, Literal

from burnish.grading.registry import arguments
from burnish.schemas.benchmark import GraderSpec

TOP_LOGPROBS = 20  # the most that OpenAI's endpoint gives, and vLLM's default limit
LOGPROB_PARAMETERS: dict[str, Any] = {"max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}


def needs(spec: GraderSpec) -> Literal["logprobs", "judge"] | None:
    """Which part of Evidence the grader cannot do without. Raises InvalidInputError for a bad spec."""
    args = arguments(spec)
    if spec.name == "judge":
        return "judge"
    return "logprobs" if spec.name == "multiple_choice" and args["by"] == "logprob" else None


def request_parameters(spec: GraderSpec) -> dict[str, Any]:
    """Chat completion parameters that override the eval run's for this question; empty for most graders."""
    return dict(LOGPROB_PARAMETERS) if needs(spec) == "logprobs" else {}
