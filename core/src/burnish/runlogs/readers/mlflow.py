"""MLflow traces: `info` with assessments, `data.spans` with JSON inside JSON. An expectation is the expected answer; feedback is feedback."""

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
    as_number,
    as_text,
    first,
    maybe_json,
    objects,
)

KINDS: dict[str, Any] = {"CHAT_MODEL": "llm", "LLM": "llm", "RETRIEVER": "retrieval"}
SOURCES: dict[str, Any] = {"HUMAN": "human", "LLM_JUDGE": "model", "AI_JUDGE": "model", "CODE": "code"}
EXPECTED = ("expected_response", "expected_answer", "expected_output", "expected", "ground_truth", "reference")


def recognise(record: dict[str, Any]) -> str | None:
    info = as_dict(record.get("info")) or as_dict(record.get("trace_info"))
    if "trace_id" in info or "request_id" in info:
        return "a trace of MLflow, with info and data"
    if "trace_id" in record and "assessments" in record and "spans" in record:
        return "a row of mlflow.search_traces"
    return None


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return objects(record["traces"]) if isinstance(record.get("traces"), list) else (record,)


def read(record: dict[str, Any]) -> Iterable[Piece]:
    info = as_dict(record.get("info")) or as_dict(record.get("trace_info")) or record
    data = as_dict(record.get("data")) or record
    trace_id = str(first(info, "trace_id", "request_id"))
    about = as_dict(info.get("trace_metadata")) | as_dict(info.get("tags"))
    expected = None
    for said in objects(as_list(info.get("assessments"))):
        feedback = _assessment(said, trace_id)
        if feedback.expected is not None and (feedback.name in EXPECTED or expected is None):
            expected = feedback.expected
        yield feedback
    for span in objects(as_list(data.get("spans"))):
        yield _span(span, trace_id, info, about, expected)


def _span(
    span: dict[str, Any], trace_id: str, info: dict[str, Any], about: dict[str, Any], expected: str | None
) -> Span:
    held = {key: maybe_json(value, 1) for key, value in as_dict(span.get("attributes")).items()}
    inputs, outputs = first(held, "mlflow.spanInputs") or span.get("inputs"), first(held, "mlflow.spanOutputs")
    outputs = outputs if outputs is not None else span.get("outputs")
    kind = str(held.get("mlflow.spanType") or span.get("span_type") or "")
    answer = answer_of(outputs)
    start, end = (
        as_number(first(span, f"{name}_time_unix_nano", f"{name}_time_ns", f"{name}_time")) for name in ("start", "end")
    )
    status = as_dict(span.get("status"))
    wanted = as_dict(inputs)
    return Span(
        trace_id=trace_id,
        id=as_text(first(span, "span_id") or as_dict(span.get("context")).get("span_id")) or "",
        parent_id=as_text(first(span, "parent_span_id", "parent_id")),
        kind=KINDS.get(kind, "other"),
        messages=messages_of(inputs),
        answer=answer.text,
        tool_calls=answer.tool_calls,
        documents=list(_documents(outputs)) if kind == "RETRIEVER" else [],
        model=as_text(first(held, "mlflow.llm.model") or wanted.get("model")),
        started=start if start is not None else as_text(info.get("request_time")),
        latency_ms=(end - start) / 1e6 if start and end else as_number(info.get("execution_duration_ms")),
        finish_reason=answer.finish_reason,
        error=as_text(status.get("message")) if status.get("code") in ("ERROR", "STATUS_CODE_ERROR") else None,
        user_id=as_text(about.get("mlflow.trace.user")),
        session_id=as_text(about.get("mlflow.trace.session")),
        expected=expected,
        metadata={key: value for key, value in (about | held).items() if not key.startswith("mlflow.")},
    )


def _assessment(said: dict[str, Any], trace_id: str) -> Feedback:
    expectation, feedback = as_dict(said.get("expectation")), as_dict(said.get("feedback"))
    value = first(expectation or feedback, "value")
    if value is None:
        value = maybe_json(expectation.get("serialized_value"), 1)
    source = as_dict(said.get("source"))
    return Feedback(
        name=as_text(first(said, "assessment_name", "name")) or "assessment",
        value=None if expectation else value if isinstance(value, bool | int | float | str) else as_text(value),
        source=SOURCES.get(str(source.get("source_type")).upper(), "code"),
        trace_id=trace_id,
        span_id=as_text(said.get("span_id")),
        comment=as_text(said.get("rationale")),
        expected=answer_of(value).text if expectation and value is not None else None,
        at=as_text(first(said, "last_update_time", "create_time")),
    )


def _documents(outputs: Any) -> Iterable[Document]:
    for item in objects(as_list(outputs)):
        about = as_dict(item.get("metadata"))
        yield Document(
            as_text(first(item, "page_content", "content", "text")) or "",
            as_text(first(about, "doc_uri", "source") or item.get("id")),
        )
