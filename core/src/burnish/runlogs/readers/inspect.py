"""Inspect (inspect_ai): the samples of an `.eval` file, or of a log written as JSON. Its letters C, P, N and I are grades."""

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
    left,
    made_id,
    objects,
)

LETTERS = {"C": "correct", "P": "partial", "N": "incorrect", "I": "incorrect"}
KNOWN = (
    "id", "epoch", "input", "choices", "target", "sandbox", "files", "setup", "messages", "output", "scores", "metadata", "store", "events", "model_usage", "total_time",
    "working_time", "uuid", "error", "error_retries", "limit", "attachments", "started_at", "completed_at", "invalidation", "role_usage", "summary", "events_data", "timelines",
)  # fmt: skip


def recognise(record: dict[str, Any]) -> str | None:
    return "a sample of Inspect" if {"id", "epoch", "target", "output"} <= record.keys() else None


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if isinstance(record.get("samples"), list) and "eval" in record:
        run = as_dict(record["eval"]).get("run_id")
        return ({"eval_run_id": run} | sample for sample in objects(record["samples"]))
    return (record,)


def read(record: dict[str, Any]) -> Iterable[Piece]:
    if not {"id", "epoch", "output"} <= record.keys():
        raise UnreadError("no sample of Inspect: it has no id, epoch and output")
    output = as_dict(record["output"])
    answer = answer_of(output)
    told = messages_of(_resolved(record.get("messages"), as_dict(record.get("attachments"))))
    last = next((index for index in range(len(told) - 1, -1, -1) if told[index]["role"] == "assistant"), len(told))
    target = record.get("target")
    identity = as_text(record.get("uuid")) or made_id(
        record["id"], record["epoch"], answer.text, record.get("eval_run_id")
    )
    yield Span(
        trace_id=identity,
        id=identity,
        messages=told[:last] or messages_of(record.get("input")),
        answer=answer.text or as_text(output.get("completion")) or "",
        tool_calls=answer.tool_calls,
        model=as_text(output.get("model")),
        started=as_text(record.get("started_at")),
        latency_ms=1000 * seconds if (seconds := as_number(record.get("total_time"))) is not None else None,
        finish_reason=answer.finish_reason,
        error=as_text(as_dict(record.get("error")).get("message")),
        question_id=str(record["id"]),
        run_id=f"{record['eval_run_id']}-{record['epoch']}"
        if record.get("eval_run_id")
        else f"epoch-{record['epoch']}",
        expected=(as_text(target[0]) if target else None) if isinstance(target, list) else as_text(target) or None,
        metadata=left(record, (*KNOWN, "eval_run_id")) | as_dict(record.get("metadata")),
    )
    for name, score in as_dict(record.get("scores")).items():
        value = as_dict(score).get("value")
        told_by = as_dict(as_dict(score).get("metadata"))
        source = "model" if "model" in name or "grader" in name or "grading" in told_by else "code"
        yield Feedback(
            name, LETTERS.get(value, value) if isinstance(value, str) else as_number(value) if not isinstance(value, bool) else value,
            "model" if source == "model" else "code", identity, identity, as_text(as_dict(score).get("explanation")),
        )  # fmt: skip


def _resolved(messages: Any, attachments: dict[str, Any]) -> list[Any]:
    """Messages with the long texts that Inspect keeps apart."""
    return [
        message | {"content": attachments.get(content.removeprefix("attachment://"), content)}
        if isinstance(message, dict)
        and isinstance(content := message.get("content"), str)
        and content.startswith("attachment://")
        else message
        for message in as_list(messages)
    ]
