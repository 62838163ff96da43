"""Questions for the eval client's tests, here and in the integration tests."""

from __future__ import annotations

from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish_client.evaluation.asking.answers import Answer


def make_questions(count: int, **fields: object) -> list[BenchmarkQuestion]:
    """Questions q0000, q0001, … whose prompt is their own id; graded by `contains` of `good` (the model name decides)."""
    return [
        BenchmarkQuestion.model_validate(
            {
                "question_id": f"q{number:04d}",
                "prompt": f"q{number:04d}",
                "expected_answer": "good",
                "grader": GraderSpec(name="contains"),
                **fields,
            }
        )
        for number in range(count)
    ]


def make_answer(number: int, **fields: object) -> Answer:
    base = {"model": "m", "question_id": f"q{number}", "sample": 0, "prompt_digest": "p", "sampling_digest": "s"}
    return Answer.model_validate({**base, "text": f"answer {number}", **fields})
