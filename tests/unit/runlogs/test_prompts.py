"""The prompt of a run log line."""

from __future__ import annotations

from typing import Any

import pytest

from burnish.runlogs.prompts import prompt_messages
from burnish.schemas.runlog import RunLogLine


def line(**fields: Any) -> RunLogLine:
    base = {"question_id": "q", "question": "Why?", "answer": "a", "retrieval_hit": True, "grade": "wrong"}
    return RunLogLine.model_validate(base | fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [("user", "Why?")]),
        ({"evidence_text": "Because."}, [("user", "Because.\n\nWhy?")]),
        ({"system_prompt": "Be brief."}, [("system", "Be brief."), ("user", "Why?")]),
        (
            {"system_prompt": "Be brief.", "evidence_text": "E", "messages": [{"role": "user", "content": "sent"}]},
            [("user", "sent")],
        ),
        ({"system_prompt": "S", "messages": []}, [("system", "S"), ("user", "Why?")]),
    ],
)
def test_prompt_messages(fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert [(m.role, m.content) for m in prompt_messages(line(**fields))] == expected
