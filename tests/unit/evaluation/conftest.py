"""Questions and a server for the eval client's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from unit.evaluation.chat_server import ChatServer, serving

from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving(ChatServer()) as running:
        yield running


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
