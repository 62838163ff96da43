"""What is told of each RPC: a server span in the caller's trace, its seconds by method and status, one log line.

The outermost interceptor, so that it sees the status in which an error ended. Unary and streaming calls are wrapped apart.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio

from burnish.telemetry import logs, tracing
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.rpc.handlers import HEALTH, REQUEST_ID, Context, Continuation, Details, behaviour, replaced

log = logging.getLogger("burnish_trainer.requests")

FAILED = frozenset({"INTERNAL", "UNAVAILABLE", "UNKNOWN", "DATA_LOSS", "DEADLINE_EXCEEDED"})  # ours, not the caller's
UNMATCHED = "unmatched"  # the method of whatever has none: callers choose names, and must not choose label values


class TelemetryInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc is untyped
    """Health checks are counted, and neither logged nor traced."""

    def __init__(self, metrics: TrainerMetrics, spans: tracing.Tracing) -> None:
        self._seconds = metrics.calls
        self._spans = spans

    async def intercept_service(self, continuation: Continuation, details: Details) -> Any:
        handler = await continuation(details)
        if handler is None:
            self._seconds.labels(UNMATCHED, grpc.StatusCode.UNIMPLEMENTED.name).observe(0)
            return None
        inner, method = behaviour(handler), details.method.removeprefix("/")
        if handler.response_streaming:
            return replaced(handler, None, self._watched_stream(inner, method))
        return replaced(handler, self._watched(inner, method), None)

    def _watched(self, inner: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def call(request: Any, context: Context) -> Any:
            with self._call(context, method):
                return await inner(request, context)

        return call

    def _watched_stream(self, inner: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            with self._call(context, method):
                async for answer in inner(request, context):
                    yield answer

        return call

    @contextmanager
    def _call(self, context: Context, method: str) -> Iterator[None]:
        started, sent = time.perf_counter(), dict(context.invocation_metadata() or ())
        if f"/{method}".startswith(HEALTH):
            yield
            self._seconds.labels(method, grpc.StatusCode.OK.name).observe(time.perf_counter() - started)
            return
        logs.bind(
            request_id=_request_id(sent)
        )  # not as blocks: a stream may be closed by another task than the call's own
        span = self._spans.begin(method, parent=_text(sent.get(tracing.HEADER)), kind="server")
        status = grpc.StatusCode.OK.name
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            status = grpc.StatusCode.CANCELLED.name
            raise
        except grpc.aio.AbortError:
            status = _name(context.code())
            raise
        finally:
            seconds = time.perf_counter() - started
            self._seconds.labels(method, status).observe(seconds)
            facts = {"method": method, "status": status, "duration_ms": round(seconds * 1000, 1)}
            log.info("request", extra=facts)
            span.set_attribute("rpc.response.status_code", status)
            if status in FAILED:
                tracing.fail(span, status)
            span.end()


def _name(code: Any) -> str:
    """A status as grpc.aio gives it back: the enum, or its number."""
    if isinstance(code, grpc.StatusCode):
        return str(code.name)
    return next((str(one.name) for one in grpc.StatusCode if one.value[0] == code), grpc.StatusCode.UNKNOWN.name)


def _request_id(sent: dict[str, Any]) -> str:
    given = _text(sent.get(REQUEST_ID))
    return given if given and len(given) <= 64 else uuid.uuid4().hex


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
