"""vLLM's own metrics and spans, as they come through the server: what the dashboard asks for is really there."""

from __future__ import annotations

import time

from inference_server import InferenceServer
from prometheus_client.parser import text_string_to_metric_families
from promql_names import expressions, names_in
from whole_stack import WholeStack

from burnish_inference.api.shares import cache_tokens

TRACE = "0af7651916cd43dd8448eb211c80319c"
SERVED, PASSED_ON = "POST /v1/chat/completions", "vllm /v1/chat/completions"  # the server's two spans
TRACED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


def ask(server: InferenceServer, **headers: str) -> None:
    cards = server.http.get("/v1/models").json()["data"]
    base = next(card["id"] for card in cards if card["parent"] is None)
    body = {"model": base, "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 4}
    server.http.post("/v1/chat/completions", json=body, headers=headers).raise_for_status()


def test_every_metric_of_vllm_that_a_panel_asks_for_is_exposed(server: InferenceServer):
    ask(server)
    assert server.http.get("/metrics", headers={"Authorization": ""}).status_code == 401
    text = server.http.get("/metrics").text
    samples = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    asked = {name for _, expression in expressions() for name in names_in(expression) if name.startswith("vllm:")}
    assert len(asked) >= 5
    assert asked - samples == set()
    families = [family.name for family in text_string_to_metric_families(text)]
    assert len(families) == len(set(families))
    assert {"burnish_inference_engine_ready 1.0"} <= set(text.splitlines())


def test_vllm_says_how_many_tokens_its_cache_holds(server: InferenceServer):
    """By which callers get their shares of the engine."""
    assert (cache_tokens(server.http.get("/metrics").content) or 0) > 10_000


def test_vllms_spans_belong_to_the_callers_trace(server: InferenceServer, whole_stack: WholeStack):
    receiver = whole_stack.receiver
    ask(server, **TRACED)
    wanted = {("burnish-inference", SERVED), ("burnish-inference", PASSED_ON)}
    deadline = time.monotonic() + 60  # both export in batches of some seconds, each in its own time
    while True:
        spans = [span for span in receiver.spans if span.trace_id == TRACE]
        of_vllm = [span for span in spans if span.service == "vllm"]
        if of_vllm and wanted <= {(span.service, span.name) for span in spans}:
            break
        assert time.monotonic() < deadline, sorted({(span.service, span.name) for span in receiver.spans})
        time.sleep(0.2)
    ours = {span.name: span for span in spans if span.service == "burnish-inference"}
    assert ours[SERVED].parent_id == "b7ad6b7169203331"
    assert of_vllm[0].parent_id == ours[PASSED_ON].span_id
