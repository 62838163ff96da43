"""A command's span goes to a collector on a socket, and a collector that is not there is reported."""

from __future__ import annotations

import pytest
from otlp_receiver import receiving

from burnish_client.sdk.transport import tracing


def test_with_an_endpoint_the_commands_span_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        with tracing.command("burnish jobs ls", said.append):
            header = tracing.headers()["traceparent"]
        (root,) = receiver.named("burnish-cli", "burnish jobs ls")
    assert header.startswith(f"00-{root.trace_id}-{root.span_id}-")
    assert (root.parent_id, said) == ("", [])


def test_a_command_says_where_its_trace_could_not_go(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with tracing.command("burnish jobs ls", said.append):
        pass
    assert len(said) == 1
    assert said[0].startswith("the trace of this command was not taken by http://127.0.0.1:9/v1/traces: ")
