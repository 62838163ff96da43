"""One trace for each command: its name, and the header on every request."""

from __future__ import annotations

import threading

import httpx
import pytest
import typer
from opentelemetry.sdk.trace import TracerProvider

from burnish_client.cli import app as cli
from burnish_client.sdk.transport import tracing

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
