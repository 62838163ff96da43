"""Requests of OTLP/HTTP exporters, protobuf or JSON, as the JSON document that OTLP's JSON is: ids in hex. Called by the curator's `POST /v1/traces`."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from burnish.errors import InvalidInputError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
IDS = ("traceId", "spanId", "parentSpanId")


def decode_traces(body: bytes, content_type: str) -> dict[str, Any]:
    """An ExportTraceServiceRequest as a document with `resourceSpans`. InvalidInputError if it is none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == PROTOBUF:
        return _of_protobuf(body)
    if kind != JSON:
        raise InvalidInputError(
            f"Content-Type {content_type!r} is not known: send {PROTOBUF} or {JSON}", field="Content-Type"
        )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"the body is no JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("resourceSpans", []), list):
        raise InvalidInputError("the body is no ExportTraceServiceRequest: an object with `resourceSpans` is wanted")
    return document


def _of_protobuf(body: bytes) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        document: dict[str, Any] = MessageToDict(ExportTraceServiceRequest.FromString(body))
    except DecodeError as error:
        raise InvalidInputError(f"the body is no ExportTraceServiceRequest: {error}") from error
    for resource in document.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for held in (span, *span.get("links", ())):
                    held |= {name: base64.b64decode(held[name]).hex() for name in IDS if name in held}
    return document
