"""One trace for each command: the CLI opens its root span, and every request of the SDK carries its traceparent.

Spans are exported if OTEL_EXPORTER_OTLP_ENDPOINT or …_TRACES_ENDPOINT is set, and only then is OpenTelemetry loaded
(0.4 s). Otherwise the command still has ids, so that the services' logs belong together. As a library, the SDK passes
on the span of the program around it, if there is one.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from burnish.telemetry import tracing

if TYPE_CHECKING:
    import httpx

# The traceparent of the running command. A process runs one at a time, and its threads have no context of their own.
_command: str | None = None


def headers() -> dict[str, str]:
    """The headers of a request (gRPC: its metadata). Empty if nothing is traced."""
    return tracing.headers() or ({tracing.HEADER: _command} if _command else {})


def mark(request: httpx.Request) -> None:
    """An event hook of httpx.Client."""
    request.headers.update(headers())


async def mark_async(request: httpx.Request) -> None:
    """An event hook of httpx.AsyncClient."""
    mark(request)


@contextmanager
def command(name: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Wrap one command in a trace. warn: called with a sentence if its spans could not be exported."""
    global _command
    before = _command
    with _exported(name, warn) if tracing.endpoint() else nullcontext():
        _command = tracing.traceparent() or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        try:
            yield
        finally:
            _command = before


@contextmanager
def _exported(name: str, warn: Callable[[str], None]) -> Iterator[None]:
    complaints = _Complaints()
    log = logging.getLogger("opentelemetry")
    log.addHandler(complaints)
    log.propagate = False
    spans = tracing.Tracing.from_environment("burnish-cli")
    try:
        with spans.span(name):
            yield
    finally:
        is_done = spans.close()
        log.removeHandler(complaints)
        if complaints.seen or not is_done:
            warn(
                f"the trace of this command was not taken by {tracing.endpoint()}: start the collector, or unset "
                f"{tracing.ENDPOINT}"
            )


class _Complaints(logging.Handler):
    """Records whether the exporter complained. Its own lines are long and meant for a service's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen = False

    def emit(self, record: logging.LogRecord) -> None:
        self.seen = True
