"""Langfuse: observations and scores of the blob export (snake_case), of the UI's export (camelCase) and of its API's pages.

Traces and scores may stand in files of their own: give them together. A score of type CORRECTION is the answer that a person wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from burnish.runlogs.traces.messages import answer_of, messages_of
from burnish.runlogs.traces.pieces import (
    Document,
    Feedback,
    Piece,
    Span,
    Value,
    as_dict,
    as_list,
    as_number,
    as_text,
    between,
    first,
    left,
    maybe_json,
    objects,
)

CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
SOURCES: dict[str, Any] = {"ANNOTATION": "human", "API": "code", "EVAL": "model"}
CALLS = ("GENERATION",)
KNOWN = (
    "id", "trace_id", "type", "name", "parent_observation_id", "start_time", "end_time", "input", "output", "provided_model_name", "model", "latency",
    "user_id", "session_id", "scores", "level", "status_message", "completion_start_time", "observation_id", "model_id", "internal_model_id",
    "created_at", "updated_at", "project_id", "usage_details", "cost_details", "total_cost", "usage", "version", "environment", "metadata",
    "model_parameters", "time_to_first_token", "trace_name", "observations", "timestamp", "html_path", "public", "bookmarked", "unit", "tags",
    "trace_tags", "tool_definitions", "tool_calls", "tool_call_names",
)  # fmt: skip
HUMAN_NAMES = re.compile(r"user|human|thumb|customer", re.I)


def recognise(record: dict[str, Any]) -> str | None:
    row = _snake(record)
    if (
        row.get("type")
        in ("GENERATION", "SPAN", "EVENT", "RETRIEVER", "AGENT", "TOOL", "CHAIN", "EVALUATOR", "EMBEDDING", "GUARDRAIL")
        and "id" in row
        and ("trace_id" in row or "start_time" in row)
    ):
        return f"an observation of type {row['type']}"
    if (
        "data_type" in row
        and "name" in row
        and ("value" in row or "string_value" in row)
        and ("trace_id" in row or "subject" in row or "observation_id" in row)
    ):
        return "a score with its data type"
    if isinstance(row.get("observations"), list) and "id" in row:
        return "a trace with its observations"
    return None


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return objects(record["data"]) if isinstance(record.get("data"), list) else (record,)


def read(record: dict[str, Any]) -> Iterable[Piece]:
    row = _snake(record)
    if "data_type" in row or ("string_value" in row and "source" in row):
        yield _score(row)
    elif isinstance(row.get("observations"), list):
        yield from _trace(row)
    else:
        scores = _score_columns(record)
        yield from _observation({key: value for key, value in row.items() if key not in map(_snake_name, scores)})
        for name, values in scores.items():
            for value in values:
                yield Feedback(name, value, _source(None, name), str(row["trace_id"]), str(row["id"]))


def _score_columns(record: dict[str, Any]) -> dict[str, list[Any]]:
    """Scores that the UI's export has flattened into columns: one a name, its cell a list of the numbers or words that were given."""
    found = {}
    for name, cell in record.items():
        if _snake_name(name) in KNOWN or name in KNOWN:
            continue
        values = maybe_json(cell)
        if isinstance(values, list) and values and all(isinstance(value, str | int | float) for value in values):
            found[name] = values
    return found


def _trace(row: dict[str, Any]) -> Iterable[Piece]:
    about = {"trace_id": row["id"], "user_id": row.get("user_id"), "session_id": row.get("session_id")}
    for inner in objects(row["observations"]):
        yield from _observation(about | {key: value for key, value in _snake(inner).items() if value is not None})
    for inner in objects(as_list(row.get("scores"))):
        yield _score({"trace_id": row["id"]} | _snake(inner))


def _observation(row: dict[str, Any]) -> Iterable[Piece]:
    trace_id, identity, kind = str(row["trace_id"]), str(row["id"]), str(row.get("type", "SPAN")).upper()
    answer = answer_of(row.get("output"))
    about = as_dict(row.get("metadata"))
    yield Span(
        trace_id=trace_id,
        id=identity,
        parent_id=as_text(row.get("parent_observation_id")),
        kind="llm" if kind in CALLS else "retrieval" if kind == "RETRIEVER" else "other",
        messages=messages_of(row.get("input")),
        answer=answer.text,
        tool_calls=answer.tool_calls,
        documents=list(_documents(row.get("output"))) if kind == "RETRIEVER" else [],
        model=as_text(first(row, "provided_model_name", "model")),
        started=as_text(row.get("start_time")),
        latency_ms=_latency_ms(row),
        finish_reason=answer.finish_reason,
        error=as_text(row.get("status_message")) if row.get("level") == "ERROR" else None,
        user_id=as_text(row.get("user_id")),
        session_id=as_text(row.get("session_id")),
        question_id=as_text(first(about, "question_id", "dataset_item_id")),
        metadata=left(row, KNOWN) | about | ({"tags": row["tags"]} if row.get("tags") else {}),
    )
    yield from _inside(row, trace_id, identity)


def _inside(row: dict[str, Any], trace_id: str, identity: str) -> Iterable[Feedback]:
    """Scores that the UI's export has beside the observation: a list of them, or an object of name and values."""
    scores = maybe_json(row.get("scores"))
    for score in objects(scores if isinstance(scores, list) else ()):
        yield _score({"trace_id": trace_id, "observation_id": identity} | _snake(score))
    if isinstance(scores, dict):
        for name, values in scores.items():
            for value in values if isinstance(values, list) else [values]:
                yield Feedback(name, value, _source(None, name), trace_id, identity)


def _score(row: dict[str, Any]) -> Feedback:
    subject = as_dict(row.get("subject"))
    kind, name = str(row.get("data_type", "")).upper(), str(row.get("name"))
    text = as_text(first(row, "string_value", "long_string_value"))
    value: Value = first(row, "value", "string_value")
    if kind == "BOOLEAN":
        value = str(value).casefold() in ("1", "1.0", "true")
    elif kind == "CATEGORICAL":
        value = text if text is not None else as_text(value)
    elif kind == "NUMERIC" or kind == "":
        number = as_number(value)
        value = number if number is not None else as_text(value)
    corrected = (text or as_text(row.get("value"))) if kind == "CORRECTION" else None
    on_trace = subject.get("kind", subject.get("type")) == "trace"
    return Feedback(
        name=name,
        value=None if kind in ("CORRECTION", "TEXT") else value,
        source="human" if kind == "CORRECTION" else _source(row.get("source"), name),
        trace_id=as_text(
            first(row, "trace_id") or first(subject, "trace_id", "traceId") or (subject.get("id") if on_trace else None)
        )
        or "",
        span_id=as_text(
            first(row, "observation_id")
            or first(subject, "observation_id", "observationId")
            or (None if on_trace else subject.get("id"))
        ),
        comment=as_text(row.get("comment")) or (text if kind == "TEXT" else None),
        correction=corrected,
        at=as_text(first(row, "timestamp", "updated_at", "created_at")),
    )


def _source(given: Any, name: str) -> Any:
    """The API is also how an application sends the thumbs of its users."""
    source = SOURCES.get(str(given).upper(), "code")
    return "human" if source == "code" and HUMAN_NAMES.search(name) else source


def _documents(output: Any) -> Iterable[Document]:
    found = maybe_json(output)
    inner = first(found, "documents", "results", "matches", "output") if isinstance(found, dict) else found
    for item in as_list(inner):
        if isinstance(item, dict):
            about = as_dict(item.get("metadata"))
            text = first(item, "page_content", "pageContent", "content", "text", "document")
            yield Document(
                as_text(text if text is not None else item) or "",
                as_text(first(item, "id", "source") or about.get("source")),
            )
        else:
            yield Document(as_text(item) or "")


def _latency_ms(row: dict[str, Any]) -> float | None:
    """Latency is in seconds, and in milliseconds in older blob exports: the times of start and end decide."""
    taken = between(as_text(row.get("start_time")), as_text(row.get("end_time")))
    latency = as_number(row.get("latency"))
    return taken if taken is not None else latency * 1000 if latency is not None else None


def _snake(record: dict[str, Any]) -> dict[str, Any]:
    return {_snake_name(key): value for key, value in record.items()}


def _snake_name(key: str) -> str:
    return CAPITAL.sub(lambda found: "_" + found[1].lower(), key)
