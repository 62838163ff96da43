"""One trace a command: its name, the header on every request, and what it costs where it is off."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import httpx
import pytest
import typer
from opentelemetry.sdk.trace import TracerProvider
from otlp_receiver import receiving

from burnish_client.cli import app as cli
from burnish_client.sdk import tracing

HEADER = "traceparent"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "burnish"),
        (["--help"], "burnish"),
        (["jobs", "ls", "--json"], "burnish jobs ls"),
        (["train", "sft", "--dataset", "jobs"], "burnish train sft"),
        (["verdict", "--base", "private.jsonl"], "burnish verdict"),
        (["my secret"], "burnish"),
    ],
)
def test_a_span_is_named_after_the_command_alone(words: list[str], name: str) -> None:
    assert cli.command_name(typer.main.get_command(cli.app), words) == name


def sent() -> str | None:
    """The traceparent of a request made now."""
    request = httpx.Request("GET", "http://anywhere")
    tracing.mark(request)
    assert tracing.headers().get(HEADER) == request.headers.get(HEADER)
    return request.headers.get(HEADER)


def test_without_an_endpoint_a_command_has_one_id_in_all_its_threads() -> None:
    found: list[str | None] = []
    with tracing.command("burnish x", found.append):
        thread = threading.Thread(target=lambda: found.append(sent()))
        thread.start()
        thread.join()
        found.append(sent())
    assert found[0] == found[1]
    assert found[0] is not None
    assert sent() is None
    with tracing.command("burnish x", found.append):
        assert sent() != found[0]


def test_the_sdk_hands_on_the_span_of_the_program_around_it() -> None:
    with TracerProvider().get_tracer("theirs").start_as_current_span("theirs") as span:
        assert f"{span.get_span_context().trace_id:032x}" in (sent() or "")


def test_with_an_endpoint_the_commands_span_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        with tracing.command("burnish jobs ls", said.append):
            header = sent()
        (root,) = receiver.named("burnish-cli", "burnish jobs ls")
    assert (header or "").startswith(f"00-{root.trace_id}-{root.span_id}-")
    assert (root.parent_id, said) == ("", [])


def test_a_command_says_where_its_trace_could_not_go(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with tracing.command("burnish jobs ls", said.append):
        pass
    assert len(said) == 1
    assert said[0].startswith("the trace of this command was not taken by http://127.0.0.1:9/v1/traces: ")


def test_a_command_that_exports_nothing_loads_no_opentelemetry() -> None:
    code = (
        "import sys\nfrom burnish_client.cli import app as cli\ncli.run(['jobs', '--help'])\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')], file=sys.stderr)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr.strip() == "[]"
