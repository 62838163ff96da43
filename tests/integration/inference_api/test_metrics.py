"""The server's metrics page: what is counted, and how vLLM's own page is joined to it."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from burnish_inference.engine.command import vllm_command, vllm_environment
from burnish_inference.metrics import family_names, without_families
from burnish_inference.settings import InferenceSettings

TRACE = "0af7651916cd43dd8448eb211c80319c"
OF_VLLM = """# HELP vllm:num_requests_running Number of requests.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0"} 3.0
# HELP process_open_fds Number of open file descriptors.
# TYPE process_open_fds gauge
process_open_fds 77.0
# HELP vllm:generation_tokens_total Tokens.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{text="# TYPE process_open_fds"} 1234.0
"""


async def page(stand: Any) -> str:
    answer = await stand.http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return str(answer.text)


async def samples(stand: Any) -> dict[str, float]:
    lines = [line for line in (await page(stand)).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_vllms_metrics_are_joined_and_no_name_stands_twice(stand):
    stand.upstream.exposition = OF_VLLM
    text = await page(stand)
    assert 'vllm:num_requests_running{engine="0"} 3.0' in text
    assert 'vllm:generation_tokens_total{text="# TYPE process_open_fds"} 1234.0' in text
    assert "process_open_fds 77.0" not in text
    assert text.count("# TYPE process_open_fds gauge") == 1
    names = [family.name for family in text_string_to_metric_families(text)]
    assert len(names) == len(set(names))
    assert (await samples(stand))["burnish_inference_engine_ready"] == 1


@pytest.mark.parametrize("how", ["down", "sick"])
async def test_without_vllm_the_page_is_ours_alone(stand, how):
    stand.upstream.exposition = OF_VLLM
    stand.engine.is_up, stand.upstream.healthy, stand.engine.restarts = how == "sick", how == "down", 2
    found = await samples(stand)
    assert found["burnish_inference_engine_ready"] == 0
    assert found["burnish_inference_engine_restarts_total"] == 2
    assert not any(name.startswith("vllm:") for name in found)


async def test_work_is_counted(stand):
    good = stand.publish("fix")
    stand.publish("wrong", base_model={"name": "other", "digest": "sha256:" + "0" * 64})
    for model in ("tiny", "fix@latest", f"fix@{good.version}"):
        assert (await stand.chat(model)).status_code == 200
    assert (await stand.chat("wrong@latest")).is_error
    async with stand.http.stream("POST", "/v1/completions", json={"model": "fix@latest", "stream": True}) as response:
        await response.aread()
    stand.upstream.status = 422
    await stand.chat("tiny")
    found = await samples(stand)
    expected = {
        'burnish_inference_adapter_load_seconds_count{result="loaded"}': 1,
        'burnish_inference_adapter_load_seconds_count{result="incompatible"}': 1,
        "burnish_inference_adapters_registered": 1,
        'burnish_inference_adapter_folders_total{result="miss"}': 1,
        'burnish_inference_proxied_requests_total{status="200",target="adapter"}': 3,
        'burnish_inference_proxied_requests_total{status="200",target="base"}': 1,
        'burnish_inference_proxied_requests_total{status="422",target="base"}': 1,
        'burnish_inference_first_byte_seconds_count{stream="true",target="adapter"}': 1,
        'burnish_inference_first_byte_seconds_count{stream="false",target="adapter"}': 2,
        'burnish_inference_request_seconds_count{method="POST",route="/v1/chat/completions",status="200"}': 3,
    }
    assert {name: found.get(name) for name in expected} == expected
    stand.engine.generation += 1  # a new vLLM knows no adapter; the folder is still there
    assert (await samples(stand))["burnish_inference_adapters_registered"] == 0
    stand.upstream.status = 200
    stand.upstream.known = {"tiny"}
    assert (await stand.chat("fix@latest")).status_code == 200
    assert (await samples(stand))['burnish_inference_adapter_folders_total{result="hit"}'] == 1


async def test_callers_choose_no_label_values(stand):
    await stand.http.get("/v1/models/secret")
    await stand.http.get("/secret")
    await stand.chat("secret")
    text = await page(stand)
    assert "secret" not in text
    assert 'route="/v1/models/{model}",status="404"' in text
    assert 'route="unmatched",status="404"' in text


async def test_vllm_is_handed_the_callers_trace(stand):
    header = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    body = {"model": "tiny", "messages": []}
    await stand.http.post("/v1/chat/completions", json=body, headers=header)
    await stand.http.post("/v1/chat/completions", json=body)
    first, second = stand.upstream.traceparents
    assert first.split("-")[1] == TRACE
    assert first.split("-")[2] != "b7ad6b7169203331"
    assert second.split("-")[1] not in (TRACE, "0" * 32)


async def test_the_log_line_of_a_request_has_what_it_had(stand, caplog):
    with caplog.at_level("INFO", "burnish_inference.requests"):
        await stand.chat("tiny")
    (record,) = [record for record in caplog.records if record.name == "burnish_inference.requests"]
    assert (record.path, record.status, record.model) == ("/v1/chat/completions", 200, "tiny")
    assert record.duration_ms > 0


def test_vllm_traces_only_where_it_is_told_where_to():
    settings = InferenceSettings(base_model="/models/base")
    plain = vllm_command(settings, "cpu", "name", [], 1234)
    traced = vllm_command(settings, "cpu", "name", [], 1234, "http://c:4318/v1/traces")
    assert [word for word in traced if word not in plain] == ["--otlp-traces-endpoint", "http://c:4318/v1/traces"]
    told = vllm_environment(settings, "cpu", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"})
    assert (told["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"], told["OTEL_SERVICE_NAME"]) == ("http/protobuf", "vllm")
    assert "OTEL_SERVICE_NAME" not in vllm_environment(settings, "cpu", {})


def test_families_without_help_or_samples_are_told_apart():
    text = b'# TYPE a gauge\na 1\n# TYPE b counter\n# HELP c of c\n# TYPE c gauge\nc{x="a 1"} 2\n'
    assert family_names(text) == {b"a", b"b", b"c"}
    assert without_families(text, {b"a", b"c"}) == b"# TYPE b counter\n"
    assert without_families(b"", {b"a"}) == b""
