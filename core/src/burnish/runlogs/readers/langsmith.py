"""LangSmith: runs (an export as Parquet, JSONL or the SDK's JSON) and feedback, which may stand in a file of its own. Feedback of a root run is its trace's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from burnish.runlogs.traces.messages import answer_of, messages_of
from burnish.runlogs.traces.pieces import (
    Document,
    Feedback,
    Piece,
    Span,
    as_dict,
    as_list,
    as_text,
    between,
    first,
    left,
    maybe_json,
    objects,
)

KINDS: dict[str, Any] = {"llm": "llm", "retriever": "retrieval"}
SOURCES: dict[str, Any] = {"app": "human", "api": "code", "model": "model", "auto_eval": "model"}
HUMAN = ("user", "human", "thumb", "customer")
KNOWN = (
    "id", "trace_id", "parent_run_id", "parent_run_ids", "child_run_ids", "child_runs", "run_type", "name", "inputs", "outputs", "start_time", "end_time", "error", "extra",
    "feedback_stats", "feedback", "reference_example_id", "session_id", "session_name", "dotted_order", "execution_order", "serialized", "events", "status", "app_path",
    "first_token_time", "total_tokens", "prompt_tokens", "completion_tokens", "total_cost", "prompt_cost", "completion_cost", "manifest_id", "inputs_s3_urls",
    "outputs_s3_urls", "s3_urls", "attachments", "in_dataset", "price_model_id", "prompt_token_details", "completion_token_details", "prompt_cost_details",
    "completion_cost_details", "last_queued_at", "share_token", "thread_id", "trace_min_start_time", "trace_max_start_time", "is_root", "tenant_id", "tags",
)  # fmt: skip


def recognise(record: dict[str, Any]) -> str | None:
    if "run_type" in record and ("trace_id" in record or "dotted_order" in record):
        return f"a run of type {record['run_type']}"
    if "run_id" in record and "key" in record and ("score" in record or "value" in record or "correction" in record):
        return "feedback on a run"
    return None


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for name in ("runs", "data"):
        if isinstance(record.get(name), list):
            return objects(record[name])
    return (record,)


def read(record: dict[str, Any]) -> Iterable[Piece]:
    return [_feedback(record)] if "run_type" not in record else list(_run(record))


def _run(record: dict[str, Any]) -> Iterable[Piece]:
    identity = str(record["id"])
    trace_id = as_text(record.get("trace_id")) or identity
    kind = str(record["run_type"])
    outputs, about = record.get("outputs"), as_dict(as_dict(record.get("extra")).get("metadata"))
    answer = answer_of(outputs)
    start, end = as_text(record.get("start_time")), as_text(record.get("end_time"))
    yield Span(
        trace_id=trace_id,
        id=identity,
        parent_id=as_text(record.get("parent_run_id")),
        kind=KINDS.get(kind, "other"),
        messages=messages_of(record.get("inputs")),
        answer=answer.text,
        tool_calls=answer.tool_calls,
        documents=list(_documents(outputs)) if kind == "retriever" else [],
        model=as_text(first(about, "ls_model_name", "model_name", "model")),
        started=start,
        latency_ms=between(start, end),
        finish_reason=answer.finish_reason,
        error=as_text(record.get("error")),
        user_id=as_text(about.get("user_id")),
        session_id=as_text(first(about, "session_id", "thread_id", "conversation_id")),
        question_id=as_text(record.get("reference_example_id")),
        metadata=left(record, KNOWN)
        | {key: value for key, value in about.items() if not key.startswith("ls_") and key != "user_id"}
        | ({"tags": record["tags"]} if record.get("tags") else {}),
    )
    for inner in objects(as_list(record.get("feedback"))):
        yield _feedback({"run_id": identity, "trace_id": trace_id} | inner)
    for inner in objects(as_list(record.get("child_runs"))):
        yield from _run({"trace_id": trace_id} | inner)


def _feedback(record: dict[str, Any]) -> Feedback:
    name = str(record.get("key"))
    kind = str(as_dict(record.get("feedback_source")).get("type"))
    source = SOURCES.get(kind, "code")
    correction = maybe_json(record.get("correction"))
    value = first(record, "value", "score")
    return Feedback(
        name=name,
        value=value if isinstance(value, bool | int | float | str) else first(record, "score"),
        source="human"
        if correction or (source == "code" and any(word in name.casefold() for word in HUMAN))
        else source,
        trace_id=as_text(record.get("trace_id")) or "",
        span_id=as_text(record.get("run_id")),
        comment=as_text(record.get("comment")),
        correction=answer_of(correction).text if correction else None,
        at=as_text(first(record, "modified_at", "created_at")),
    )


def _documents(outputs: Any) -> Iterable[Document]:
    found = maybe_json(outputs)
    for item in objects(as_list(first(found, "documents", "output", "results") if isinstance(found, dict) else found)):
        body = as_dict(item.get("kwargs")) or item
        about = as_dict(body.get("metadata"))
        yield Document(
            as_text(first(body, "page_content", "content", "text")) or "",
            as_text(first(about, "source", "id") or body.get("id")),
        )
