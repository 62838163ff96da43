"""Our own run log lines, also as CSV, Parquet or a JSON array: nothing to map."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from burnish.runlogs.traces.pieces import maybe_json

LISTS = ("messages", "evidence_files", "tool_calls", "feedback", "graded_by", "grader", "metadata")
NUMBERS = ("latency_ms",)


def recognise(record: dict[str, Any]) -> str | None:
    if "question_id" in record and ("answer" in record or "messages" not in record):
        return "it has question_id and no conversation that holds the answer"
    return None


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (record,)


def line(record: dict[str, Any]) -> dict[str, Any]:
    """The record, with what a CSV can only have as text."""
    return {"grade": None} | {key: maybe_json(value) if key in LISTS else value for key, value in record.items()}
