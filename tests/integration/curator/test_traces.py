"""A real OpenTelemetry exporter, in a process of its own, fills run logs of the curator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from curator_thread import TOKEN, curator_thread
from trace_making import FIXTURES

APP = """
import json, sys
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "Support Bot"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("app")
for number in range(int(sys.argv[1])):
    with tracer.start_as_current_span("GET /answer", attributes={"http.route": "/answer"}):
        with tracer.start_as_current_span("chat small-1") as span:
            text = lambda role, said: json.dumps([{"role": role, "parts": [{"type": "text", "content": said}]}])
            span.set_attributes({
                "gen_ai.operation.name": "chat", "gen_ai.request.model": "small-1", "user.id": f"user-{number}",
                "gen_ai.input.messages": text("user", f"What is {number}?"), "gen_ai.output.messages": text("assistant", f"It is {number}."),
            })
            span.add_event("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "thumbs", "gen_ai.evaluation.score.label": "fail" if number % 2 else "pass"})
provider.shutdown()
"""


@pytest.fixture(scope="module")
def curator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with curator_thread(tmp_path_factory.mktemp("curator")) as url:
        yield url


@pytest.fixture
def http(curator_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=curator_url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
        yield client


def export(url: str, count: int, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer {TOKEN}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    command = [sys.executable, "-c", APP, str(count)]
    return subprocess.run(command, env=os.environ | settings | variables, capture_output=True, text=True, timeout=120)


def test_an_exporter_fills_run_logs(curator_url: str, http: httpx.Client) -> None:
    sent = export(curator_url, 700)
    assert (sent.returncode, sent.stderr) == (0, "")
    [waiting] = http.get("/v1/traces").json()["traces"]
    assert waiting["name"] == "support-bot"
    assert waiting["requests"] > 1, "1,400 spans are more than one batch"
    manifest = http.post("/v1/traces/cut", json={"name": "support-bot"}).json()["manifest"]
    assert (manifest["name"], manifest["accepted"], manifest["rejected"]) == ("support-bot", 700, 0)
    assert manifest["grades"] == {"correct": 350, "incorrect": 350}
    [row] = http.get(f"/v1/runlogs/{manifest['id']}/rows", params={"limit": 1}).json()["rows"]
    assert (row["question"], row["answer"], row["model"]) == ("What is 0?", "It is 0.", "small-1")
    assert http.get("/v1/traces").json()["traces"] == []
    none = http.post("/v1/traces/cut", json={"name": "support-bot"})
    assert (none.status_code, none.json()["error"]["reason"]) == (400, "PRECONDITION")
    assert export(curator_url, 2).returncode == 0
    assert http.post("/v1/traces/cut", json={"name": "support-bot"}).json()["manifest"]["accepted"] == 2


def test_traces_that_may_go_on_wait_for_the_next_cut(curator_url: str, http: httpx.Client) -> None:
    assert export(curator_url, 3).returncode == 0
    early = http.post("/v1/traces/cut", json={"name": "support-bot", "at_once": False})
    assert early.status_code == 400
    assert "no model call of 'support-bot' is complete yet" in early.json()["error"]["message"]
    assert http.post("/v1/traces/cut", json={"name": "support-bot"}).json()["manifest"]["accepted"] == 3


def test_json_is_taken_too(http: httpx.Client) -> None:
    documents = [json.loads(line) for line in (FIXTURES / "openinference.jsonl").read_text().splitlines()]
    whole = {"resourceSpans": [resource for document in documents for resource in document["resourceSpans"]]}
    answer = http.post("/v1/traces", json=whole)
    assert (answer.status_code, answer.json()) == (200, {})
    [waiting] = http.get("/v1/traces").json()["traces"]
    manifest = http.post("/v1/traces/cut", json={"name": waiting["name"]}).json()["manifest"]
    assert (manifest["accepted"], manifest["grades"]) == (3, {"(none)": 1, "correct": 1, "incorrect": 1})


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"\xff\xff", "application/x-protobuf", "no ExportTraceServiceRequest"),
        (b"{", "application/json", "no JSON"),
        (b"[]", "application/json", "an object with `resourceSpans` is wanted"),
        (b"", "text/plain", "Content-Type 'text/plain' is not known"),
    ],
)
def test_what_is_no_request_is_refused(http: httpx.Client, body: bytes, kind: str, message: str) -> None:
    answer = http.post("/v1/traces", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_without_the_token_nothing_is_taken(curator_url: str, http: httpx.Client) -> None:
    assert "401" in export(curator_url, 1, OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer wrong").stderr
    assert http.get("/v1/traces").json()["traces"] == []


def test_a_document_of_odd_shapes_is_no_defect(http: httpx.Client, tmp_path: Path) -> None:
    odd = [
        None,
        1,
        {
            "scopeSpans": [
                None,
                {
                    "spans": [
                        None,
                        3,
                        {
                            "traceId": "t",
                            "spanId": "s",
                            "attributes": [{"key": "gen_ai.operation.name", "value": {"arrayValue": {"values": [1]}}}],
                            "events": [7],
                        },
                    ]
                },
            ]
        },
    ]
    assert http.post("/v1/traces", json={"resourceSpans": odd}).status_code == 200
    for waiting in http.get("/v1/traces").json()["traces"]:
        assert http.post("/v1/traces/cut", json={"name": waiting["name"]}).status_code == 400
