"""The curator's metrics page: what is counted, that labels are bounded, and who may read it."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from burnish.curation.lengths import CharacterLengths
from burnish.telemetry.tracing import Tracing
from burnish_curator.app import Deps, create_app

TRACE = "0af7651916cd43dd8448eb211c80319c"
LINE = {"question": "?", "answer": "!", "retrieval_hit": True, "grade": "wrong", "failure_label": "not_json"}


async def samples(caller: httpx.AsyncClient) -> dict[str, float]:
    page = await caller.get("/metrics")
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in page.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def log_of(questions: int) -> bytes:
    lines = [json.dumps(LINE | {"question_id": f"q{n}", "question": f"What is {n}?"}) for n in range(questions)]
    return "\n".join([*lines, "no json", ""]).encode()


async def test_it_wants_the_token(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/metrics")).status_code == 401


async def test_work_is_counted(caller: httpx.AsyncClient) -> None:
    imported = await caller.post("/v1/runlogs?name=week", content=log_of(3))
    run_log = imported.json()["manifest"]["id"]
    reviewed = [{"question_id": f"q{n}", "question": "?", "original_answer": "!", "failure_label": "not_json",
                 "corrected_output": "{}"} for n in (0, 1, 9)]  # fmt: skip
    body = "\n".join(json.dumps(item) for item in reviewed)
    assert (await caller.post(f"/v1/runlogs/{run_log}/review", content=body)).json()["accepted"] == 2
    spec = {"name": "fix", "run_log_id": run_log, "labels": ["not_json"]}
    built = [await caller.post("/v1/datasets", json=spec | change) for change in ({}, {}, {"labels": ["nothing"]})]
    assert [answer.is_success for answer in built] == [True, True, False], built[0].text
    found = await samples(caller)
    expected = {
        'burnish_curator_run_log_lines_total{result="accepted"}': 3,
        'burnish_curator_run_log_lines_total{result="rejected"}': 1,
        'burnish_curator_corrections_total{result="accepted"}': 2,
        'burnish_curator_corrections_total{result="rejected"}': 1,
        'burnish_curator_part_cache_total{result="hit"}': 1,
        'burnish_curator_dataset_build_seconds_count{format="sft",result="new"}': 1,
        'burnish_curator_dataset_build_seconds_count{format="sft",result="known"}': 1,
        'burnish_curator_dataset_build_seconds_count{format="sft",result="refused"}': 1,
        'burnish_curator_request_seconds_count{method="POST",route="/v1/runlogs/{run_log_id}/review",status="200"}': 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["process_open_fds"] > 0


async def test_a_part_that_is_gone_from_the_cache_is_a_miss(caller: httpx.AsyncClient, deps: Deps) -> None:
    run_log = (await caller.post("/v1/runlogs?name=week", content=log_of(1))).json()["manifest"]["id"]
    for part in (deps.cache_dir / "runlogs" / run_log).iterdir():
        part.unlink()
    await caller.get(f"/v1/runlogs/{run_log}/diagnosis")
    assert (await samples(caller))['burnish_curator_part_cache_total{result="miss"}'] == 1


async def test_callers_choose_no_label_values(caller: httpx.AsyncClient) -> None:
    for path in ("/v1/runlogs/secret-1", "/v1/runlogs/secret-2", "/nothing/secret", "/v1/runlogs/%2e%2e/rows"):
        await caller.get(path)
    await caller.request("SECRET", "/v1/runlogs")
    text = (await caller.get("/metrics")).text
    assert "secret" not in text.lower()
    assert 'method="other",route="/v1/runlogs",status="405"' in text
    assert 'method="GET",route="/v1/runlogs/{run_log_id}",status="404"' in text
    assert 'method="GET",route="unmatched",status="404"' in text


async def test_a_request_is_a_span_of_the_callers_trace_and_one_log_line(
    deps: Deps, caplog: pytest.LogCaptureFixture
) -> None:
    ended = InMemorySpanExporter()
    traced = Deps(deps.store, deps.database, deps.cache_dir, deps.token, CharacterLengths(),
                  tracing=Tracing("burnish-curator", SimpleSpanProcessor(ended)))  # fmt: skip
    headers = {"Authorization": f"Bearer {deps.token}", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    transport = httpx.ASGITransport(create_app(traced))
    async with httpx.AsyncClient(transport=transport, base_url="http://c", headers=headers) as caller:
        with caplog.at_level(logging.INFO, "burnish_curator.requests"):
            await asyncio.gather(*(caller.get(path) for path in ("/v1/runlogs/x", "/healthz", "/metrics")))
    (span,) = ended.get_finished_spans()
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET /v1/runlogs/{run_log_id}", 404)
    assert f"{span.context.trace_id:032x}" == TRACE
    (record,) = [record for record in caplog.records if record.name == "burnish_curator.requests"]
    assert (record.method, record.path, record.status) == ("GET", "/v1/runlogs/x", 404)  # type: ignore[attr-defined]
