"""Spans and the traceparent: parents, failures, what leaves the process and how long that may take."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otlp_receiver import receiving

from burnish.telemetry import tracing
from burnish.telemetry.tracing import Tracing

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def ended() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(ended: InMemorySpanExporter) -> Tracing:
    return Tracing("test", SimpleSpanProcessor(ended))


def test_a_span_goes_on_with_its_parents_trace(spans: Tracing, ended: InMemorySpanExporter) -> None:
    with spans.span("outer", parent=PARENT, kind="server", size=3), spans.span("inner"):
        assert tracing.headers() == {"traceparent": tracing.traceparent()}
        assert (tracing.traceparent() or "").startswith(f"00-{TRACE}-")
    inner, outer = ended.get_finished_spans()
    assert (inner.name, outer.name) == ("inner", "outer")
    assert f"{outer.parent.span_id:016x}" == SPAN
    assert inner.parent.span_id == outer.context.span_id
    assert (outer.kind.name, outer.attributes["size"]) == ("SERVER", 3)
    assert outer.resource.attributes["service.name"] == "test"


@pytest.mark.parametrize("nonsense", ["", "x", f"00-{'0' * 32}-{SPAN}-01", f"zz-{TRACE}-{SPAN}-01", "\udce4" * 60])
def test_a_parent_that_cannot_be_read_is_none(spans: Tracing, ended: InMemorySpanExporter, nonsense: str) -> None:
    with spans.span("root", parent=nonsense):
        assert TRACE not in (tracing.traceparent() or "")
    assert ended.get_finished_spans()[0].parent is None


def test_nothing_is_current_outside() -> None:
    assert tracing.traceparent() is None
    assert (tracing.headers(), tracing.ids()) == ({}, {})


def test_another_process_can_be_gone_on_with_without_a_span_of_ones_own() -> None:
    async def in_thread() -> str | None:
        return await asyncio.to_thread(tracing.traceparent)

    with tracing.within(PARENT):
        assert asyncio.run(in_thread()) == PARENT
        with tracing.within(None):
            assert tracing.ids() == {"trace_id": TRACE, "span_id": SPAN}
    assert tracing.traceparent() is None


def test_an_exception_marks_the_span(spans: Tracing, ended: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="boom"), spans.span("fails"):
        raise ValueError("boom")
    (span,) = ended.get_finished_spans()
    assert (span.status.is_ok, span.events[0].name) == (False, "exception")


def test_what_is_over_can_be_recorded(spans: Tracing, ended: InMemorySpanExporter) -> None:
    with spans.span("around"):
        spans.record("evaluate", 2.5, step=4)
    evaluated, around = ended.get_finished_spans()
    assert (evaluated.end_time - evaluated.start_time) / 1e9 == pytest.approx(2.5, abs=1e-6)
    assert evaluated.parent.span_id == around.context.span_id


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:1/x"},
            "http://t:1/x",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_where_spans_are_posted(environment: dict[str, str], url: str | None) -> None:
    assert tracing.endpoint(environment) == url


def test_closing_exports_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        spans = Tracing.from_environment("test")
        with spans.span("last words"):
            pass
        assert spans.close()
        assert [span.service for span in receiver.spans if span.name == "last words"] == ["test"]


def test_a_collector_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and never answers; the exporter alone would wait for 30 s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
        spans = Tracing.from_environment("test")
        started = time.monotonic()
        with spans.span("lost"):
            pass
        assert time.monotonic() - started < 5
        assert not spans.close()
        assert time.monotonic() - started < tracing.CLOSE_SECONDS + 2


def test_without_an_endpoint_no_exporter_is_loaded() -> None:
    code = (
        "import sys; from burnish.telemetry import tracing; assert 'opentelemetry' not in sys.modules\n"
        "spans = tracing.Tracing.from_environment('test')\n"
        "with spans.span('x'): assert tracing.traceparent()\n"
        "assert spans.close(); print([m for m in sys.modules if 'otlp' in m or m == 'requests'])"
    )
    environment = {"PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
