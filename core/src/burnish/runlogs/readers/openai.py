"""OpenAI: stored completions with their messages, results of evals, and logged pairs of request and response."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from burnish.runlogs.traces.messages import answer_of, messages_of
from burnish.runlogs.traces.pieces import (
    Feedback,
    Piece,
    Span,
    UnreadError,
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
    "id",
    "object",
    "created",
    "model",
    "choices",
    "messages",
    "input",
    "request",
    "response",
    "metadata",
    "user",
    "expected",
    "usage",
    "store",
)


def recognise(record: dict[str, Any]) -> str | None:
    if record.get("object") in ("chat.completion", "response"):
        return f"its object is {record['object']}"
    if "datasource_item" in record or (
        isinstance(record.get("item"), dict) and set(record) <= {"item", "sample", "results"}
    ):
        return "it is an item of an eval"
    if "choices" in record or (isinstance(record.get("request"), dict) and isinstance(record.get("response"), dict)):
        return "it has a request and its choices"
    return None


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return objects(record["data"]) if record.get("object") == "list" else (record,)


def read(record: dict[str, Any]) -> Iterable[Piece]:
    return _eval_item(record) if "item" in record or "datasource_item" in record else _completion(record)


def _completion(record: dict[str, Any]) -> Iterable[Piece]:
    request = as_dict(record.get("request"))
    response = as_dict(record.get("response")) or record
    response = as_dict(response.get("body")) or response
    identity = as_text(first(record, "id", "request_id") or first(response, "id", "request_id"))
    prompt = messages_of(request or first(record, "messages", "input"))
    if not prompt:
        raise UnreadError(
            f"{identity}: no prompt. The list of stored completions has none: fetch /chat/completions/{identity}/messages, and add it as `messages`"
        )
    answer, about = answer_of(response), as_dict(record.get("metadata"))
    identity = identity or made_id(prompt, answer.text)
    yield Span(
        trace_id=identity,
        id=identity,
        messages=prompt,
        answer=answer.text,
        tool_calls=answer.tool_calls,
        model=as_text(first(response, "model") or request.get("model")),
        started=as_number(first(response, "created", "created_at")) or as_text(record.get("timestamp")),
        latency_ms=as_number(first(record, "latency_ms", "latency")),
        finish_reason=answer.finish_reason,
        user_id=as_text(first(record, "user", "user_id") or request.get("user") or about.get("user_id")),
        expected=as_text(record.get("expected")),
        metadata=left(record, KNOWN) | about,
    )


def _eval_item(record: dict[str, Any]) -> Iterable[Piece]:
    item, sample = as_dict(first(record, "datasource_item", "item")), as_dict(record.get("sample"))
    said = first(sample, "output", "output_text", "outputs")
    if said is None:
        raise UnreadError("an item of an eval without its sample: there is no answer to look at")
    identity = as_text(first(record, "id", "datasource_item_id")) or made_id(item, said)
    answer = answer_of(said)
    yield Span(
        trace_id=identity,
        id=identity,
        messages=messages_of(first(sample, "input") or first(item, "input", "messages", "question", "prompt")),
        answer=answer.text,
        tool_calls=answer.tool_calls,
        model=as_text(sample.get("model")),
        started=as_number(record.get("created_at")),
        finish_reason=as_text(sample.get("finish_reason")),
        question_id=as_text(first(item, "id", "question_id") or record.get("datasource_item_id")),
        run_id=as_text(record.get("run_id")),
        expected=as_text(first(item, "ideal", "expected", "expected_answer", "reference", "answer", "label")),
        metadata=left(
            item,
            (
                "id",
                "input",
                "messages",
                "question",
                "prompt",
                "ideal",
                "expected",
                "expected_answer",
                "reference",
                "answer",
                "label",
            ),
        ),
    )
    for result in objects(as_list(record.get("results"))):
        name = as_text(first(result, "name", "type")) or "result"
        source = "model" if "model" in str(result.get("type")) else "code"
        value = first(result, "passed", "score")
        yield Feedback(name, value, "model" if source == "model" else "code", identity, identity)
