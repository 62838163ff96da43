"""The one place that turns a run log line into the prompt the model was sent."""

from __future__ import annotations

from burnish.schemas.base import Message
from burnish.schemas.runlog import RunLogLine


def prompt_messages(line: RunLogLine) -> list[Message]:
    """The prompt of a run.

    `messages` as logged if there are any (it is what the model was really sent); else system_prompt as a system
    message if non-empty, then one user message: evidence_text, a blank line, question. No evidence: the question only.
    """
    if line.messages:
        return list(line.messages)
    content = f"{line.evidence_text}\n\n{line.question}" if line.evidence_text else line.question
    system = [Message(role="system", content=line.system_prompt)] if line.system_prompt else []
    return [*system, Message(role="user", content=content)]
