"""Spans of one process, and the W3C `traceparent` by which the next process goes on with them.

Composition roots make one Tracing and hand it down; nothing is global. Spans leave the process by OTLP over HTTP if
OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT says whereto; without, they have ids all the same, which
are in the logs. Importing this module imports no OpenTelemetry.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from burnish import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span, SpanKind

HEADER = "traceparent"
TRACES_ENDPOINT, ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
EXPORT_SECONDS = 2.0  # of one export with all its retries, unless OTEL_EXPORTER_OTLP_(TRACES_)TIMEOUT says otherwise
CLOSE_SECONDS = 1.5  # a collector that does not answer holds nobody up for longer
Kind = Literal["internal", "server", "client"]


def endpoint(environment: Mapping[str, str] = os.environ) -> str | None:
    """The URL that spans are posted to; None if none is configured, or OTEL_SDK_DISABLED is true."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if whole := environment.get(TRACES_ENDPOINT):
        return whole
    base = environment.get(ENDPOINT)
    return f"{base.rstrip('/')}/v1/traces" if base else None


class Tracing:
    """One process's spans. processor: where they go when they end; None: nowhere.

    Needs burnish-core[tracing]. A span inside a span is its child, also across `await` and asyncio.to_thread.
    """

    def __init__(self, service: str, processor: SpanProcessor | None = None) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        resource = Resource.create({"service.name": service, "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        if processor is not None:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("burnish", __version__)

    @classmethod
    def from_environment(cls, service: str) -> Tracing:
        """Exports in batches, from a thread of its own, if the environment says where to. `close` it at the end."""
        return cls(service, _exporting() if endpoint() else None)

    @contextmanager
    def span(
        self, name: str, *, parent: str | None = None, kind: Kind = "internal", **attributes: str | int | float | bool
    ) -> Iterator[Span]:
        """The current span inside the block. An exception that leaves it marks it as failed and is recorded.

        parent: the traceparent of another process; None: the span around, else a new trace. A parent that cannot be read
        is none.
        """
        context = _context_of(parent) if parent else None
        with self._tracer.start_as_current_span(name, context, _kinds()[kind], attributes) as span:
            yield span

    def begin(self, name: str, *, parent: str | None = None, kind: Kind = "internal") -> Span:
        """A span that is current for the rest of this task, and that the caller ends: see logs.bind."""
        from opentelemetry import context, trace

        span = self._tracer.start_span(name, _context_of(parent) if parent else None, _kinds()[kind])
        context.attach(trace.set_span_in_context(span))
        return span

    def record(self, name: str, seconds: float, **attributes: str | int | float | bool) -> None:
        """A span that ends now and began `seconds` ago, inside the current one."""
        now = time.time_ns()
        span = self._tracer.start_span(name, attributes=attributes, start_time=now - round(seconds * 1e9))
        span.end(now)

    def close(self) -> bool:
        """Export what is left, for CLOSE_SECONDS at most; False if that was not enough. Spans after it are lost."""
        closing = threading.Thread(target=self._provider.shutdown, name="tracing-close", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
        return not closing.is_alive()


@contextmanager
def within(parent: str | None) -> Iterator[None]:
    """The span that a traceparent names is the current one, without a span of this process's own. None: nothing changes."""
    if parent is None:
        yield
        return
    from opentelemetry import context

    token = context.attach(_context_of(parent))
    try:
        yield
    finally:
        context.detach(token)


def fail(span: Span, why: str) -> None:
    """Mark a span as failed, if no exception leaves it."""
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR, why)


def traceparent() -> str | None:
    """Of the current span, to hand to another process; None if there is none. Loads nothing."""
    span = _current()
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}" if span else None


def ids() -> dict[str, str]:
    """trace_id and span_id of the current span, as hexadecimal; empty if there is none. Loads nothing."""
    span = _current()
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"} if span else {}


def headers() -> dict[str, str]:
    """What goes with a request to another process."""
    current = traceparent()
    return {HEADER: current} if current else {}


def _current() -> Any:
    """The current SpanContext, if there is one. A process that has not loaded OpenTelemetry has none."""
    api = sys.modules.get("opentelemetry.trace")
    get_current_span: Callable[[], Any] | None = getattr(api, "get_current_span", None)
    context = get_current_span().get_span_context() if get_current_span else None
    return context if context is not None and context.is_valid else None


@cache
def _kinds() -> dict[Kind, SpanKind]:
    from opentelemetry.trace import SpanKind

    return {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}


def _context_of(parent: str) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: parent}, Context())


def _exporting() -> SpanProcessor:
    """Half a second of imports that only a process with an endpoint pays for."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    told = any(f"OTEL_EXPORTER_OTLP_{name}TIMEOUT" in os.environ for name in ("", "TRACES_"))
    return BatchSpanProcessor(OTLPSpanExporter(timeout=None if told else EXPORT_SECONDS))
