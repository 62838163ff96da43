"""Helicone: one request and its response a record, with scores and a thumb beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from burnish.runlogs.traces.messages import answer_of, messages_of
from burnish.runlogs.traces.pieces import (
    Feedback,
    Piece,
    Span,
    as_dict,
    as_list,
    as_number,
    as_text,
    first,
    left,
    made_id,
    objects,
)

KNOWN = (
    "request_id", "response_id", "request_created_at", "response_created_at", "request_body", "response_body", "request_model", "response_model", "model_override",
    "model", "delay_ms", "latency", "scores", "feedback_rating", "feedback_created_at", "feedback_id", "request_user_id", "user_id", "request_properties", "properties", "response_status", "status", "provider",
    "total_tokens", "prompt_tokens", "completion_tokens", "cost", "costUSD", "request_path", "llmSchema", "asset_urls", "country_code", "target_url", "signed_body_url",
)  # fmt: skip


def recognise(record: dict[str, Any]) -> str | None:
    return "it has request_body and response_body" if "request_body" in record and "response_body" in record else None


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return objects(record["data"]) if isinstance(record.get("data"), list) else (record,)


def read(record: dict[str, Any]) -> Iterable[Piece]:
    request, response = as_dict(record.get("request_body")), as_dict(record.get("response_body"))
    identity = as_text(record.get("request_id")) or made_id(request, response)
    answer = answer_of(response)
    about = as_dict(first(record, "request_properties", "properties"))
    status = as_number(first(record, "response_status", "status"))
    yield Span(
        trace_id=identity,
        id=identity,
        messages=messages_of(request),
        answer="" if "error" in response else answer.text,
        tool_calls=answer.tool_calls,
        model=as_text(
            first(record, "response_model", "model_override", "request_model", "model") or response.get("model")
        ),
        started=first(record, "request_created_at"),
        latency_ms=as_number(first(record, "delay_ms", "latency")),
        finish_reason=answer.finish_reason,
        error=as_text(response.get("error")) or (f"HTTP {status:g}" if status and status >= 400 else None),
        user_id=as_text(first(record, "request_user_id", "user_id")),
        session_id=as_text(about.get("Helicone-Session-Id")),
        metadata=left(record, KNOWN) | about,
    )
    rating = record.get("feedback_rating")
    if rating not in (None, ""):
        is_up = rating if isinstance(rating, bool) else str(rating).casefold() in ("true", "1", "up")
        yield Feedback(
            "feedback_rating", is_up, "human", identity, identity, at=as_text(record.get("feedback_created_at"))
        )
    scores = record.get("scores")
    pairs = [(s.get("name"), s.get("value")) for s in objects(as_list(scores))] or list(as_dict(scores).items())
    for name, value in pairs:
        held = value.get("value") if isinstance(value, dict) else value
        is_boolean = isinstance(value, dict) and value.get("valueType") == "boolean"
        yield Feedback(
            str(name).removesuffix("-hcone-bool"),
            bool(held) if is_boolean or str(name).endswith("-hcone-bool") else held,
            "code",
            identity,
            identity,
        )
