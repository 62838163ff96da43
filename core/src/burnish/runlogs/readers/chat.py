"""Plain chat JSONL: `{"messages": [...]}` that ends in the answer, with a thumb beside it or not; also prompt and completion, TRL's and ShareGPT's rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from burnish.runlogs.traces.messages import answer_of, messages_of
from burnish.runlogs.traces.pieces import (
    Feedback,
    Piece,
    Span,
    UnreadError,
    Value,
    as_list,
    as_number,
    as_text,
    first,
    left,
    made_id,
    maybe_json,
)

THUMBS = (
    "thumbs",
    "thumb",
    "thumbs_up",
    "rating",
    "feedback",
    "liked",
    "like",
    "vote",
    "score",
    "label",
    "user_feedback",
    "is_good",
    "good",
    "helpful",
)
UP = ("up", "thumbs_up", "thumbsup", "thumbs up", "👍", "+1", "like", "liked", "positive", "good", "yes", "true", "1")
DOWN = (
    "down",
    "thumbs_down",
    "thumbsdown",
    "thumbs down",
    "👎",
    "-1",
    "dislike",
    "disliked",
    "negative",
    "bad",
    "no",
    "false",
    "0",
)
IDS = ("id", "conversation_id", "chat_id", "request_id", "uuid")
EXPECTED = ("expected_answer", "expected", "reference", "ideal", "ground_truth", "gold")
CORRECTIONS = ("correction", "corrected", "corrected_answer", "chosen")
ANSWERS = ("completion", "answer", "response", "output", "rejected")
PROMPTS = ("messages", "conversations", "conversation", "prompt", "question", "input")
KNOWN = {
    *THUMBS,
    *IDS,
    *EXPECTED,
    *CORRECTIONS,
    *ANSWERS,
    *PROMPTS,
    "model",
    "timestamp",
    "created_at",
    "created",
    "user",
    "user_id",
    "comment",
    "latency_ms",
    "tools",
    "finish_reason",
    "session_id",
    "slice",
    "question_id",
}


def recognise(record: dict[str, Any]) -> str | None:
    for name in ("messages", "conversations", "conversation"):
        if isinstance(maybe_json(record.get(name)), list):
            return f"it has {name}"
    if first(record, "prompt", "question", "input") is not None and first(record, *ANSWERS) is not None:
        return "it has a prompt and an answer"
    return None


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (record,)


def read(record: dict[str, Any]) -> Iterable[Piece]:
    prompt, said = _turns(record)
    answer = answer_of(said)
    identity = as_text(first(record, *IDS)) or made_id(prompt, said)
    yield Span(
        trace_id=identity,
        id=identity,
        messages=prompt,
        answer=answer.text,
        tool_calls=answer.tool_calls,
        model=as_text(record.get("model")),
        started=first(record, "timestamp", "created_at", "created"),
        latency_ms=as_number(record.get("latency_ms")),
        finish_reason=as_text(record.get("finish_reason")) or answer.finish_reason,
        user_id=as_text(first(record, "user_id", "user")),
        session_id=as_text(record.get("session_id")),
        question_id=as_text(record.get("question_id")),
        slice=as_text(record.get("slice")),
        expected=as_text(first(record, *EXPECTED)),
        metadata=left(record, KNOWN),
    )
    comment, at = as_text(record.get("comment")), as_text(first(record, "timestamp", "created_at"))
    for name in THUMBS:
        value = _thumb(record.get(name))
        if value is not None:
            yield Feedback(name, value, "human", identity, identity, comment, at=at)
    correction = first(record, *CORRECTIONS)
    if correction is not None:
        yield Feedback("correction", None, "human", identity, identity, comment, answer_of(correction).text, at=at)


def _turns(record: dict[str, Any]) -> tuple[list[dict[str, Any]], Any]:
    """(prompt, answer): the answer is the last turn of the conversation, unless a key has it."""
    turns = first(record, "messages", "conversations", "conversation")
    said = first(record, *ANSWERS)
    if turns is None:
        return messages_of(first(record, "prompt", "question", "input")), said
    plain = [
        {"role": t["from"], "content": t.get("value")} if isinstance(t, dict) and "from" in t else t
        for t in as_list(turns)
    ]
    plain = [
        t | {"role": {"gpt": "assistant"}.get(t.get("role", ""), t.get("role"))} for t in plain if isinstance(t, dict)
    ]
    if said is not None:
        return messages_of(plain), said
    if not plain or plain[-1].get("role") not in ("assistant", "ai", "model", "bot"):
        raise UnreadError("the conversation does not end in an answer: the last message must be the assistant's")
    return messages_of(plain[:-1]), plain[-1:]


def _thumb(value: Any) -> Value:
    """True for up and false for down, where that is what it says; else the value."""
    if isinstance(value, dict):
        value = first(value, "value", "rating", "thumbs", "score", "type")
    if isinstance(value, str) and value.strip().casefold() in UP:
        return True
    if isinstance(value, str) and value.strip().casefold() in DOWN:
        return False
    if value in (1, -1) and not isinstance(value, bool):
        return bool(value == 1)
    return value if isinstance(value, bool | int | float | str) and value != "" else None
