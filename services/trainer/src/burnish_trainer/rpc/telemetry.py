"""What is recorded of each call: a server span in the caller's trace, its seconds by method and status, one log line.

Called by interceptor.py around every call.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio

from burnish.telemetry import logs, tracing
from burnish_trainer.metrics import TrainerMetrics

log = logging.getLogger("burnish_trainer.requests")

Context: TypeAlias = grpc.aio.ServicerContext

HEALTH = "/grpc.health.v1.Health/"
REQUEST_ID = "x-request-id"
FAILED = frozenset({"INTERNAL", "UNAVAILABLE", "UNKNOWN", "DATA_LOSS", "DEADLINE_EXCEEDED"})  # ours, not the caller's
UNMATCHED = "unmatched"  # callers choose the names of methods that do not exist, and must not choose label values


class CallTelemetry:
    """Health checks are counted, but neither logged nor traced."""

    def __init__(self, metrics: TrainerMetrics, spans: tracing.Tracing) -> None:
        self._seconds = metrics.calls
        self._spans = spans

    def unmatched(self) -> None:
        """Count a call of a method that does not exist."""
        self._seconds.labels(UNMATCHED, grpc.StatusCode.UNIMPLEMENTED.name).observe(0)

    @contextmanager
    def watch(self, context: Context, path: str) -> Iterator[None]:
        """Around one call; path: /service/method."""
        started, sent = time.perf_counter(), dict(context.invocation_metadata() or ())
        method = path.removeprefix("/")
        if path.startswith(HEALTH):
            yield
            self._seconds.labels(method, grpc.StatusCode.OK.name).observe(time.perf_counter() - started)
            return
        # not for the length of a block: a stream may be closed by another task than the call's own
        logs.bind(request_id=_request_id(sent))
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
    """A status as grpc.aio returns it: the enum, or its number."""
    if isinstance(code, grpc.StatusCode):
        return str(code.name)
    return next((str(one.name) for one in grpc.StatusCode if one.value[0] == code), grpc.StatusCode.UNKNOWN.name)


def _request_id(sent: dict[str, Any]) -> str:
    given = _text(sent.get(REQUEST_ID))
    return given if given and len(given) <= 64 else uuid.uuid4().hex


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
