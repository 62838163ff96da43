"""promptfoo: the results of `promptfoo eval --output` as JSON or JSONL. The type of the first assertion that failed is the score `assertion`."""

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
    made_id,
    maybe_json,
    objects,
)
from burnish.runlogs.traces.pieces import left as left_over

BY_MODEL = ("llm-rubric", "model-graded", "factuality", "g-eval", "answer-relevance", "context-", "select-best", "pi")
KNOWN = (
    "id", "prompt", "promptId", "promptIdx", "provider", "response", "success", "score", "gradingResult", "latencyMs", "testIdx", "testCase", "vars", "error", "failureReason",
    "namedScores", "cost", "metadata", "tokenUsage", "evalId", "description",
)  # fmt: skip


def recognise(record: dict[str, Any]) -> str | None:
    return (
        "a result of promptfoo"
        if "success" in record
        and "prompt" in record
        and ("gradingResult" in record or "testCase" in record or "promptIdx" in record)
        else None
    )


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    results = record.get("results")
    if isinstance(results, dict):
        results = results.get("results")
    if not isinstance(results, list):
        return (record,)
    return ({"evalId": record.get("evalId")} | result for result in objects(results))


def read(record: dict[str, Any]) -> Iterable[Piece]:
    prompt, test = record.get("prompt"), as_dict(record.get("testCase"))
    raw = maybe_json(as_dict(prompt).get("raw") if isinstance(prompt, dict) else prompt)
    response = record.get("response")
    answer = answer_of(as_dict(response).get("output") if isinstance(response, dict) else response)
    variables = as_dict(record.get("vars") or test.get("vars"))
    graded = as_dict(record.get("gradingResult"))
    identity = as_text(record.get("id")) or made_id(
        raw, answer.text, record.get("testIdx"), record.get("promptIdx"), record.get("evalId")
    )
    provider = record.get("provider")
    checks = [(as_dict(check.get("assertion")), check) for check in objects(as_list(graded.get("componentResults")))]
    yield Span(
        trace_id=identity,
        id=identity,
        messages=messages_of(raw),
        answer=answer.text,
        tool_calls=answer.tool_calls,
        model=as_text(first(provider, "id", "label")) if isinstance(provider, dict) else as_text(provider),
        latency_ms=as_number(record.get("latencyMs")),
        finish_reason=answer.finish_reason,
        error=as_text(record.get("error")) if not graded else None,
        question_id=as_text(first(variables, "id", "question_id"))
        or (f"test-{record['testIdx']}" if record.get("testIdx") is not None else None),
        run_id=as_text(record.get("evalId")),
        expected=next(
            (
                as_text(a.get("value"))
                for a, _ in checks
                if a.get("type") in ("equals", "contains", "icontains", "similar")
            ),
            None,
        ),
        metadata=left_over(record, KNOWN) | as_dict(test.get("metadata")) | variables,
    )
    types = [str(assertion.get("type")) for assertion, _ in checks]
    source = "model" if any(kind.removeprefix("not-").startswith(BY_MODEL) for kind in types) else "code"
    if "success" in record:
        yield Feedback(
            "success",
            bool(record["success"]),
            "model" if source == "model" else "code",
            identity,
            identity,
            as_text(graded.get("reason")),
        )
    failed = next((kind for kind, (_, check) in zip(types, checks, strict=True) if check.get("pass") is False), None)
    if failed:
        yield Feedback("assertion", failed, "code", identity, identity)
