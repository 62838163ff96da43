"""What an HTTP service tells of each request: a server span, its seconds by route template and status, one log line.

Used by the ASGI middleware of curator and inference, which know the request's id and see its status pass.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from burnish.telemetry import logs, tracing

if TYPE_CHECKING:
    from prometheus_client import Histogram

QUIET = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds: counted, neither logged nor traced
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"  # the route of whatever has none: callers choose paths, and must not choose label values
OTHER = "other"
CLIENT_GONE = 499


@dataclass
class Exchange:
    """One request; the middleware writes the status down once the answer begins. 0: it never did."""

    status: int = 0


class RequestTelemetry:
    """seconds: metrics.request_histogram over HTTP_LABELS. log: the service's own, for a line a request."""

    def __init__(self, seconds: Histogram, spans: tracing.Tracing, log: logging.Logger) -> None:
        self._seconds = seconds
        self._spans = spans
        self._log = log

    @contextmanager
    def request(self, scope: MutableMapping[str, Any], request_id: str) -> Iterator[Exchange]:
        """Around the whole request. Lines logged inside carry request_id, trace_id and span_id."""
        exchange, started = Exchange(), time.perf_counter()
        with logs.fields(request_id=request_id):
            if scope["path"] in QUIET:
                try:
                    yield exchange
                finally:
                    self._observe(scope, exchange, started)
                return
            with self._spans.span(scope["method"], parent=_traceparent(scope), kind="server") as span:
                try:
                    yield exchange
                finally:
                    seconds = self._observe(scope, exchange, started)
                    span.update_name(f"{_method(scope)} {_route(scope)}")
                    span.set_attributes({"http.route": _route(scope), "http.response.status_code": exchange.status})
                    if exchange.status >= 500:
                        tracing.fail(span, f"HTTP {exchange.status}")
                    self._log.info("request", extra=_facts(scope, exchange, seconds))

    def _observe(self, scope: MutableMapping[str, Any], exchange: Exchange, started: float) -> float:
        seconds = time.perf_counter() - started
        status = str(exchange.status or CLIENT_GONE)
        self._seconds.labels(_method(scope), _route(scope), status).observe(seconds)
        return seconds


def _facts(scope: MutableMapping[str, Any], exchange: Exchange, seconds: float) -> dict[str, Any]:
    model = scope.get("state", {}).get("model")
    return {
        "method": scope["method"],
        "path": scope["path"],
        "status": exchange.status or "client gone",
        "duration_ms": round(seconds * 1000, 1),
        **({"model": model} if model else {}),
    }


def _traceparent(scope: MutableMapping[str, Any]) -> str | None:
    sent = next((value for name, value in scope["headers"] if name == tracing.HEADER.encode()), None)
    return sent.decode("latin-1") if sent is not None else None


def _method(scope: MutableMapping[str, Any]) -> str:
    return scope["method"] if scope["method"] in METHODS else OTHER


def _route(scope: MutableMapping[str, Any]) -> str:
    """The template that the router has matched, `/v1/runlogs/{run_log_id}`; never the path as it came."""
    return str(getattr(scope.get("route"), "path", None) or UNMATCHED)
