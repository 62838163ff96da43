"""The one place that turns a run log line into the prompt the model was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from burnish.schemas.base import Message
from burnish.schemas.logged import LoggedMessage
from burnish.schemas.runlog import RunLogLine

ROLES: dict[str, Any] = {"developer": "system", "function": "tool"}
PROMPT_COLUMNS = ["question", "system_prompt", "evidence_text", "messages"]


def prompt_messages(line: RunLogLine) -> list[Message]:
    """The prompt of a run.

    `messages` as logged if there are any (it is what the model was really sent); else system_prompt as a system
    message if non-empty, then one user message: evidence_text, a blank line, question. No evidence: the question only.
    The calls of a tool are told as JSON text; `is_plain` says whether the model saw these messages as they are.
    """
    if line.messages:
        return [plain(message) for message in line.messages]
    content = f"{line.evidence_text}\n\n{line.question}" if line.evidence_text else line.question
    system = [Message(role="system", content=line.system_prompt)] if line.system_prompt else []
    return [*system, Message(role="user", content=content)]


def prompt_of(row: Mapping[str, Any]) -> list[Message]:
    """`prompt_messages` of a row of columns, PROMPT_COLUMNS among them."""
    messages = orjson.loads(row["messages"]) if row["messages"] is not None else None
    line = RunLogLine.model_construct(
        question=row["question"],
        system_prompt=row["system_prompt"],
        evidence_text=row["evidence_text"],
        messages=[LoggedMessage.model_validate(message) for message in messages] if messages else None,
    )
    return prompt_messages(line)


def plain(message: LoggedMessage) -> Message:
    """Role and text of a message. A developer speaks as the system."""
    calls = [orjson.dumps(call.get("function", call)).decode() for call in message.tool_calls or ()]
    content = "\n".join([text for text in [message.text, *calls] if text])
    return Message(role=ROLES.get(message.role, message.role), content=content)


def is_plain(line: RunLogLine) -> bool:
    """Whether the run is text alone: a dataset row cannot hold tool calls, images and files."""
    return not line.tool_calls and all(message.is_plain for message in line.messages or ())
