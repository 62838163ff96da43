"""The signature of a run log line: the one way from a line to what `burnish.grading.signatures` looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from burnish.grading.signatures import Said, Signature, signature
from burnish.schemas.base import Message
from burnish.schemas.runlog import RunLogLine


def line_signature(
    line: RunLogLine,
    messages: Sequence[Message],
    *,
    expects_json: bool | None = None,
    schema: dict[str, Any] | None = None,
) -> Signature | None:
    """The first signature of the line's answer. messages: its prompt; expects_json and schema as `Said` has them."""
    error = (line.model_extra or {}).get("error")
    return signature(
        Said(
            answer=line.answer,
            question=line.question,
            instructions="\n".join(message.content for message in messages if message.role == "system"),
            has_tool_calls=bool(line.tool_calls),
            finish_reason=line.finish_reason,
            error=str(error) if error else None,
            expected_answer=line.expected_answer,
            expects_json=expects_json,
            schema=schema,
        )
    )
