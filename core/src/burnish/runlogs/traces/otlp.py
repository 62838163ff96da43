"""Spans and events of OpenTelemetry as flat records, from OTLP JSON, from the SDK's own JSON, and from Phoenix's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from burnish.runlogs.traces.pieces import as_dict, as_list, as_text, between, first, objects

NANOSECONDS = 1e6  # in a millisecond


def unpack(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Flat records: trace_id, span_id, parent_id, name, start, latency_ms, attributes, events, links, error, resource. Anything else as it is."""
    if "resourceSpans" in record or "resource_spans" in record:
        yield from _otlp(
            as_list(first(record, "resourceSpans", "resource_spans")), ("scopeSpans", "scope_spans"), "spans", span
        )
    elif "resourceLogs" in record or "resource_logs" in record:
        yield from _otlp(
            as_list(first(record, "resourceLogs", "resource_logs")),
            ("scopeLogs", "scope_logs"),
            ("logRecords", "log_records"),
            event,
        )
    elif isinstance(record.get("data"), list):  # a page of an API
        for inner in objects(record["data"]):
            yield from unpack(inner)
    elif "context.span_id" in record:  # a data frame of Phoenix
        yield _of_sdk(nested(record))
    elif isinstance(record.get("context"), dict) and "attributes" in record:
        yield _of_sdk(record)
    else:
        yield record


def _otlp(resources: list[Any], scopes: tuple[str, str], items: Any, flat: Any) -> Iterator[dict[str, Any]]:
    names = (items,) if isinstance(items, str) else items
    for resource in objects(resources):
        about = attributes(as_dict(resource.get("resource")).get("attributes"))
        for scope in objects(as_list(first(resource, *scopes))):
            for item in objects(as_list(first(scope, *names))):
                yield flat(item) | {"resource": about}


def span(item: dict[str, Any]) -> dict[str, Any]:
    start, end = (
        _number(first(item, *names))
        for names in (("startTimeUnixNano", "start_time_unix_nano"), ("endTimeUnixNano", "end_time_unix_nano"))
    )
    status = as_dict(item.get("status"))
    failed = status.get("code") in (2, "STATUS_CODE_ERROR")
    return {
        "trace_id": _id(first(item, "traceId", "trace_id")),
        "span_id": _id(first(item, "spanId", "span_id")),
        "parent_id": _id(first(item, "parentSpanId", "parent_span_id")) or None,
        "name": item.get("name"),
        "start": start,
        "latency_ms": (end - start) / NANOSECONDS if start and end else None,
        "attributes": attributes(item.get("attributes")),
        "events": [event(inner) for inner in objects(as_list(item.get("events")))],
        "links": [
            {"trace_id": _id(first(link, "traceId", "trace_id")), "span_id": _id(first(link, "spanId", "span_id"))}
            for link in objects(as_list(item.get("links")))
        ],
        "error": (status.get("message") or "error") if failed else None,
    }


def event(item: dict[str, Any]) -> dict[str, Any]:
    """An event of a span, or a log record, which is an event with ids of its own."""
    held = attributes(item.get("attributes"))
    body = value(item.get("body")) if isinstance(item.get("body"), dict) else item.get("body")
    return {
        "event": first(item, "eventName", "event_name", "name") or held.get("event.name"),
        "time": _number(first(item, "timeUnixNano", "time_unix_nano")),
        "attributes": held | (body if isinstance(body, dict) else {}),
        "trace_id": _id(first(item, "traceId", "trace_id")),
        "span_id": _id(first(item, "spanId", "span_id")),
    }


def _of_sdk(record: dict[str, Any]) -> dict[str, Any]:
    """`span.to_json()` of the Python SDK, and a span of Phoenix's API."""
    context = as_dict(record.get("context"))
    status = as_dict(record.get("status")) or {
        "status_code": record.get("status_code"),
        "description": record.get("status_message"),
    }
    held = dict(as_dict(record.get("attributes")))
    if record.get("span_kind"):
        held.setdefault("openinference.span.kind", record["span_kind"])
    start, end = as_text(record.get("start_time")), as_text(record.get("end_time"))
    events = [
        {
            "event": inner.get("name"),
            "time": inner.get("timestamp"),
            "attributes": as_dict(inner.get("attributes")),
            "trace_id": "",
            "span_id": "",
        }
        for inner in objects(as_list(record.get("events")))
    ]
    return {
        "trace_id": _id(context.get("trace_id")),
        "span_id": _id(context.get("span_id")),
        "parent_id": _id(record.get("parent_id")) or None,
        "name": record.get("name"),
        "start": start,
        "latency_ms": between(start, end),
        "attributes": held,
        "events": events,
        "links": [
            {
                "trace_id": _id(as_dict(link.get("context")).get("trace_id")),
                "span_id": _id(as_dict(link.get("context")).get("span_id")),
            }
            for link in objects(as_list(record.get("links")))
        ],
        "error": (status.get("description") or "error") if status.get("status_code") == "ERROR" else None,
        "resource": as_dict(as_dict(record.get("resource")).get("attributes")),
    }


def attributes(pairs: Any) -> dict[str, Any]:
    """OTLP's [{"key", "value": {"stringValue": …}}] as an object; an object as it is."""
    if isinstance(pairs, dict):
        return pairs
    return {str(pair.get("key")): value(pair.get("value")) for pair in objects(as_list(pairs))}


def value(any_value: Any) -> Any:
    """What an AnyValue of OTLP holds."""
    if not isinstance(any_value, dict) or len(any_value) != 1:
        return None if isinstance(any_value, dict) else any_value
    ((kind, inner),) = any_value.items()
    kind = kind.replace("_", "").lower()
    if kind == "intvalue":
        return _integer(inner)
    if kind == "arrayvalue":
        return [value(item) for item in as_dict(inner).get("values", ())]
    if kind == "kvlistvalue":
        return attributes(as_dict(inner).get("values"))
    return inner


INDEX = re.compile(r"\d+\Z")


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as objects inside objects; numbers are indices of lists. A key that another one is the start of stays flat."""
    root: dict[str, Any] = {}
    for key, held in flat.items():
        *path, last = key.split(".")
        inner = root
        for name in path:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                break
        if isinstance(inner, dict):
            inner[last] = nested(held) if isinstance(held, dict) else held
    return {key: _lists(inner) for key, inner in root.items()}


def _lists(held: Any) -> Any:
    if isinstance(held, list):
        return [_lists(item) for item in held]
    if not isinstance(held, dict):
        return held
    inner = {key: _lists(item) for key, item in held.items()}
    if inner and all(INDEX.match(key) for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def _id(held: Any) -> str:
    text = str(held or "")
    return text.removeprefix("0x")


def _integer(held: Any) -> Any:
    """OTLP's JSON has integers of 64 bits as text. What is none stays as it is."""
    try:
        number = int(held)
    except (TypeError, ValueError):
        return held
    return number if -(2**63) <= number < 2**63 else str(held)


def _number(held: Any) -> float | None:
    try:
        return float(held)
    except (TypeError, ValueError):
        return None
