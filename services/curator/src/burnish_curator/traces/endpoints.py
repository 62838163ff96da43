"""OTLP/HTTP for exporters, and what waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from burnish.errors import InvalidInputError
from burnish.schemas.base import Frozen
from burnish.schemas.runlog import RunLogImport
from burnish.telemetry.otlp_requests import JSON, PROTOBUF, decode_traces
from burnish_curator.errors import BODY_RESPONSES, Responses
from burnish_curator.requests import BINARY, in_thread, state
from burnish_curator.traces.service import NANO, TraceService

router = APIRouter(prefix="/v1/traces", tags=["traces"])
Traces = Annotated[TraceService, Depends(state("traces"))]
REQUEST_BYTES = 32 << 20
UNPACKED_BYTES = 128 << 20
BODY = {
    "requestBody": {"required": True, "content": {PROTOBUF: {"schema": BINARY}, JSON: {"schema": {"type": "object"}}}}
}
ANSWER: Responses = {200: {"description": "ExportTraceServiceResponse", "content": {PROTOBUF: {"schema": BINARY}}}}


class WaitingTraces(Frozen):
    """Traces of one service that are no run log yet."""

    name: str
    requests: int
    size_bytes: int
    oldest: datetime


class CutTraces(Frozen):
    """Of one service. at_once: also of traces that got a span within the last 30 s; else those wait for the next run log."""

    name: str
    at_once: bool = True


class WaitingList(Frozen):
    traces: list[WaitingTraces]


@router.post(
    "", summary="Take spans (OTLP/HTTP)", openapi_extra=BODY, response_class=Response, responses=BODY_RESPONSES | ANSWER
)
async def take_spans(request: Request, traces: Traces) -> Response:
    """ExportTraceServiceRequest as protobuf or JSON, gzip understood. The spans are in the bucket when this answers."""
    kind = request.headers.get("content-type", "")
    await in_thread(
        request, lambda chunks: traces.inbox.add(decode_traces(_whole(chunks), kind)), limit_bytes=REQUEST_BYTES
    )
    is_json = kind.startswith(JSON)
    return Response(b"{}" if is_json else b"", media_type=JSON if is_json else PROTOBUF)


@router.get("", summary="Traces that wait to become a run log")
def list_waiting(traces: Traces) -> WaitingList:
    return WaitingList(
        traces=[
            WaitingTraces(
                name=waiting.name,
                requests=len(waiting.keys),
                size_bytes=waiting.size_bytes,
                oldest=datetime.fromtimestamp(waiting.oldest_ns / NANO, UTC),
            )
            for waiting in traces.inbox.waiting()
        ]
    )


@router.post("/cut", summary="Make a run log of the traces that wait", responses=BODY_RESPONSES)
def cut(wanted: CutTraces, traces: Traces) -> RunLogImport:
    return traces.cut(wanted.name, wanted.at_once)


def _whole(chunks: Iterator[bytes]) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > UNPACKED_BYTES:
            raise InvalidInputError(
                f"the body unpacks to more than {UNPACKED_BYTES >> 20} MiB: export in smaller batches"
            )
    return bytes(body)
