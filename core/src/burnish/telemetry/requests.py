"""ASGI middleware of the HTTP services: a request's id, a server span, its seconds by route and status, and one log line.

Used by curator and inference. Plain ASGI, so that it needs no framework, and so that streams and cancellation pass untouched.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from burnish.asgi.types import Application, Receive, Scope, Send
from burnish.telemetry import logs, tracing

if TYPE_CHECKING:
    from prometheus_client import Histogram


REQUEST_ID = "x-request-id"
QUIET = frozenset(
    {"/health", "/healthz", "/readyz", "/metrics"}
)  # asked every few seconds: counted, neither logged nor traced
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"  # the route of whatever has none: callers choose paths, and must not choose label values
OTHER = "other"
CLIENT_GONE = 499
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestMiddleware:
    """Around every request. The request's id is the caller's X-Request-Id if that is plain, else a new one.

    The id is in `scope["state"]["request_id"]` and in the answer's headers. An unexpected exception is logged with its
    traceback under the id and answered by `failure(id)`, never with its text.

    seconds: metrics.request_histogram over HTTP_LABELS. log: the service's own, for a line a request.
    """

    def __init__(
        self,
        app: Application,
        seconds: Histogram,
        spans: tracing.Tracing,
        log: logging.Logger,
        failure: Callable[[str], Application],
    ) -> None:
        self._app = app
        self._seconds = seconds
        self._spans = spans
        self._log = log
        self._failure = failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = _header(scope, REQUEST_ID) or ""
        request_id = given if _PLAIN_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0  # until the answer begins

        async def send_with_id(message: Scope) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID.encode(), request_id.encode())]
            await send(message)

        with logs.fields(request_id=request_id), self._told(scope, lambda: status):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                self._log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
                if status:  # part of an answer is out: end the connection, so that nobody takes it for the whole
                    raise
                await self._failure(request_id)(scope, receive, send_with_id)

    @contextmanager
    def _told(self, scope: Scope, status: Callable[[], int]) -> Iterator[None]:
        """Measures the request, and traces and logs it unless it is one of QUIET."""
        started = time.perf_counter()
        if scope["path"] in QUIET:
            try:
                yield
            finally:
                self._observe(scope, status(), started)
            return
        with self._spans.span(scope["method"], parent=_header(scope, tracing.HEADER), kind="server") as span:
            try:
                yield
            finally:
                seconds = self._observe(scope, status(), started)
                span.update_name(f"{_method(scope)} {_route(scope)}")
                span.set_attributes({"http.route": _route(scope), "http.response.status_code": status()})
                if status() >= 500:
                    tracing.fail(span, f"HTTP {status()}")
                self._log.info("request", extra=_facts(scope, status(), seconds))

    def _observe(self, scope: Scope, status: int, started: float) -> float:
        seconds = time.perf_counter() - started
        self._seconds.labels(_method(scope), _route(scope), str(status or CLIENT_GONE)).observe(seconds)
        return seconds


def _facts(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    model = scope.get("state", {}).get("model")
    return {
        "method": scope["method"],
        "path": scope["path"],
        "status": status or "client gone",
        "duration_ms": round(seconds * 1000, 1),
        **({"model": model} if model else {}),
    }


def _header(scope: Scope, name: str) -> str | None:
    sent = next((value for key, value in scope["headers"] if key == name.encode()), None)
    return sent.decode("latin-1") if sent is not None else None


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else OTHER


def _route(scope: Scope) -> str:
    """The template that the router has matched, `/v1/runlogs/{run_log_id}`; never the path as it came."""
    return str(getattr(scope.get("route"), "path", None) or UNMATCHED)
