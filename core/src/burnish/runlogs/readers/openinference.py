"""OpenInference (Phoenix, Arize): flat or nested attributes, annotations on spans, on carrier spans that link to theirs, and in Phoenix's own files."""

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
    as_dict,
    as_list,
    as_text,
    first,
    objects,
)

KINDS: dict[str, Any] = {"LLM": "llm", "RETRIEVER": "retrieval"}
SOURCES: dict[str, Any] = {"HUMAN": "human", "LLM": "model", "CODE": "code"}
OWN = (
    "llm",
    "input",
    "output",
    "openinference",
    "retrieval",
    "annotations",
    "evaluations",
    "session",
    "user",
    "trace",
    "document",
    "embedding",
    "reranker",
    "tool",
    "metadata",
)
MARKS = (
    "openinference.span.kind",
    "llm.model_name",
    "llm.input_messages",
    "input.value",
    "annotations.",
    "evaluations.",
    "retrieval.documents",
    "session.annotations",
    "trace.annotations",
)

unpack = otlp.unpack


def recognise(record: dict[str, Any]) -> str | None:
    if isinstance(record.get("result"), dict) and "annotator_kind" in record and "span_id" in record:
        return "an annotation of Phoenix"
    held = record.get("attributes")
    if not isinstance(held, dict) or "span_id" not in record:
        return None
    key = next((key for key in held if key.startswith(MARKS)), None)
    if key is None and isinstance(held.get("openinference"), dict):
        key = "openinference"
    return f"a span with {key}" if key else None


def read(record: dict[str, Any]) -> Iterable[Piece]:
    if "annotator_kind" in record:
        return [_phoenix(record)]
    if "attributes" not in record or "span_id" not in record or "event" in record:
        raise UnreadError("neither a span nor an annotation")
    return list(_span(record))


def _span(record: dict[str, Any]) -> Iterable[Piece]:
    held = otlp.nested(record["attributes"])
    yield from _annotations(record, held)
    kind = str(as_dict(as_dict(held.get("openinference")).get("span")).get("kind", "")).upper()
    llm = as_dict(held.get("llm"))
    if not kind and not llm and "input" not in held:
        return  # a carrier of annotations alone
    spoken = [_message(item) for item in objects(as_list(llm.get("input_messages")))]
    answered = [_message(item) for item in objects(as_list(llm.get("output_messages")))]
    answer = answer_of(answered or as_dict(held.get("output")).get("value"))
    about = as_dict(held.get("metadata"))
    yield Span(
        trace_id=record["trace_id"],
        id=record["span_id"],
        parent_id=record["parent_id"],
        kind=KINDS.get(kind, "other"),
        messages=messages_of(spoken or as_dict(held.get("input")).get("value")),
        answer=answer.text,
        tool_calls=answer.tool_calls,
        documents=list(_documents(held)),
        model=as_text(llm.get("model_name")),
        started=record["start"],
        latency_ms=record["latency_ms"],
        finish_reason=as_text(llm.get("finish_reason")) or answer.finish_reason,
        error=record["error"],
        user_id=as_text(as_dict(held.get("user")).get("id")),
        session_id=as_text(as_dict(held.get("session")).get("id")),
        metadata={
            key: value
            for key, value in record["attributes"].items()
            if key.partition(".")[0] not in OWN and value not in (None, "")
        }
        | about,
    )


def _message(item: dict[str, Any]) -> dict[str, Any]:
    """`message.role`, `message.content`, `message.contents` and `message.tool_calls` as OpenAI has them."""
    held = as_dict(item.get("message")) or item
    parts = [
        {"type": inner.get("type", "text"), "text": inner["text"]} if "text" in inner else inner
        for inner in (as_dict(part.get("message_content")) or part for part in objects(as_list(held.get("contents"))))
    ]
    calls = [
        {"id": call.get("id"), "type": "function", "function": as_dict(call.get("function"))}
        for call in (as_dict(item.get("tool_call")) or item for item in objects(as_list(held.get("tool_calls"))))
    ]
    content = held.get("content")
    message = {"role": held.get("role"), "content": content if content is not None else parts or None}
    if held.get("tool_call_id"):
        message["tool_call_id"] = held["tool_call_id"]
    return message | ({"tool_calls": calls} if calls else {})


def _documents(held: dict[str, Any]) -> Iterable[Document]:
    for item in objects(as_list(as_dict(held.get("retrieval")).get("documents"))):
        document = as_dict(item.get("document")) or item
        yield Document(as_text(document.get("content")) or "", as_text(document.get("id")))


def _annotations(record: dict[str, Any], held: dict[str, Any]) -> Iterable[Feedback]:
    """Of the span, of its trace or session, or, on a carrier span, of the span that it links to."""
    linked = record["links"][0] if len(record["links"]) == 1 else None
    own = linked or record
    for level in ("", "trace", "session"):
        around = held if not level else as_dict(held.get(level))
        for plural, single in (("annotations", "annotation"), ("evaluations", "evaluation")):
            for item in objects(as_list(around.get(plural))):
                about = as_dict(item.get(single)) or item
                yield _said(about, own["trace_id"], own["span_id"] if not level else None)


def _said(about: dict[str, Any], trace_id: str, span_id: str | None) -> Feedback:
    label, score = about.get("label"), about.get("score")
    return Feedback(
        name=as_text(about.get("name")) or "annotation",
        value=label if label not in (None, "") else score,
        source=SOURCES.get(str(first(about, "annotator_kind", "kind")).upper(), "code"),
        trace_id=trace_id,
        span_id=span_id,
        comment=as_text(about.get("explanation")),
    )


def _phoenix(record: dict[str, Any]) -> Feedback:
    about = as_dict(record.get("result")) | {"name": record.get("name"), "annotator_kind": record.get("annotator_kind")}
    said = _said(about, as_text(record.get("trace_id")) or "", str(record.get("span_id")))
    said.at = as_text(record.get("updated_at"))
    return said
