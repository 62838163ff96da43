"""OpenTelemetry's GenAI conventions: messages as attributes, as an event with the details, as events of their own (before 1.36), or flat (OpenLLMetry)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from burnish.runlogs.traces import otlp
from burnish.runlogs.traces.messages import answer_of, messages_of
from burnish.runlogs.traces.pieces import (
    Document,
    Feedback,
    Piece,
    Span,
    UnreadError,
    as_list,
    as_text,
    first,
    maybe_json,
    objects,
)
from burnish.runlogs.traces.scores import WORDS

CALLS = ("chat", "text_completion", "generate_content", "completion")
EVALUATION = "gen_ai.evaluation.result"
DETAILS = "gen_ai.client.inference.operation.details"
OLD_ROLES = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
OWN = (
    "gen_ai.",
    "llm.",
    "server.",
    "user.id",
    "enduser.id",
    "error.type",
    "session.id",
    "telemetry.",
    "traceloop.",
    "event.name",
    "openinference.",
)

unpack = otlp.unpack


def recognise(record: dict[str, Any]) -> str | None:
    held = record.get("attributes")
    if "event" in record and str(record["event"]).startswith("gen_ai."):
        return f"an event {record['event']}"
    if not isinstance(held, dict) or "span_id" not in record:
        return None
    return next((f"a span with {key}" for key in held if key.startswith("gen_ai.")), None)


def read(record: dict[str, Any]) -> Iterable[Piece]:
    if "attributes" not in record or "span_id" not in record:
        raise UnreadError("neither a span nor an event of OpenTelemetry")
    if "event" in record:
        return _log_event(record)
    return list(_span(record))


def _log_event(record: dict[str, Any]) -> Iterable[Piece]:
    """An event that came as a log record: of an evaluation. The other events of logs repeat what spans have."""
    return [_evaluation(record, record["trace_id"], record["span_id"])] if record["event"] == EVALUATION else []


def _span(record: dict[str, Any]) -> Iterable[Piece]:
    held = dict(record["attributes"])
    for event in record["events"]:
        if event["event"] == DETAILS:
            held |= event["attributes"]
    operation = held.get("gen_ai.operation.name")
    is_call = operation in CALLS or (
        operation is None and ("gen_ai.request.model" in held or "llm.request.type" in held)
    )
    prompt, said = _texts(held, record["events"])
    answer = answer_of(said)
    reasons = as_list(held.get("gen_ai.response.finish_reasons"))
    yield Span(
        trace_id=record["trace_id"],
        id=record["span_id"],
        parent_id=record["parent_id"],
        kind="llm" if is_call else "retrieval" if operation == "retrieval" else "other",
        messages=prompt,
        answer=answer.text,
        tool_calls=answer.tool_calls,
        documents=list(_documents(held)) if operation == "retrieval" else [],
        model=as_text(first(held, "gen_ai.response.model", "gen_ai.request.model")),
        started=record["start"],
        latency_ms=record["latency_ms"],
        finish_reason=answer.finish_reason or (as_text(reasons[0]) if reasons else None),
        error=record["error"] or as_text(held.get("error.type")),
        user_id=as_text(first(held, "user.id", "enduser.id")),
        session_id=as_text(first(held, "gen_ai.conversation.id", "session.id")),
        metadata={key: value for key, value in held.items() if not key.startswith(OWN) and value not in (None, "")},
    )
    for event in record["events"]:
        if event["event"] == EVALUATION:
            yield _evaluation(event, record["trace_id"], record["span_id"])


def _texts(held: dict[str, Any], events: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Any]:
    """(prompt, what was answered), in the newest shape that is there."""
    flat = otlp.nested(
        {key: value for key, value in held.items() if key.startswith(("gen_ai.prompt", "gen_ai.completion"))}
    ).get("gen_ai", {})
    if "gen_ai.input.messages" in held or "gen_ai.output.messages" in held:
        system = as_list(held.get("gen_ai.system_instructions"))
        lead = messages_of([{"role": "system", "parts": system}]) if system else []
        return [*lead, *messages_of(held.get("gen_ai.input.messages"))], maybe_json(held.get("gen_ai.output.messages"))
    if flat:
        return messages_of(flat.get("prompt")), flat.get("completion")
    prompt: list[dict[str, Any]] = []
    said: Any = None
    for event in events:
        name, about = event["event"], event["attributes"]
        if name in OLD_ROLES:
            prompt += messages_of([{"content": None} | about | {"role": OLD_ROLES[name]}])
        elif name == "gen_ai.choice":
            message = maybe_json(about.get("message"))
            message = (
                message
                if isinstance(message, dict)
                else {"content": first(about, "content", "message"), "tool_calls": about.get("tool_calls")}
            )
            said = {
                "choices": [{"message": {"role": "assistant"} | message, "finish_reason": about.get("finish_reason")}]
            }
        elif name == "gen_ai.content.prompt":
            prompt = messages_of(about.get("gen_ai.prompt"))
        elif name == "gen_ai.content.completion":
            said = about.get("gen_ai.completion")
    return prompt, said


def _evaluation(event: dict[str, Any], trace_id: str, span_id: str) -> Feedback:
    held = event["attributes"]
    label, score = held.get("gen_ai.evaluation.score.label"), held.get("gen_ai.evaluation.score.value")
    says = isinstance(label, str) and label.strip().casefold() in WORDS
    return Feedback(
        name=as_text(held.get("gen_ai.evaluation.name")) or "evaluation",
        value=label if says or score is None else score,
        source="code",
        trace_id=event["trace_id"] or trace_id,
        span_id=event["span_id"] or span_id,
        comment=as_text(held.get("gen_ai.evaluation.explanation")),
        at=as_text(event["time"]),
    )


def _documents(held: dict[str, Any]) -> Iterable[Document]:
    for item in objects(as_list(held.get("gen_ai.retrieval.documents"))):
        yield Document(as_text(first(item, "content", "text")) or "", as_text(item.get("id")))
