"""Streams, back-pressure, callers who leave, and an engine that fails, over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket

import httpx


async def test_a_stream_passes_through_chunk_by_chunk(stand):
    stand.upstream.delay_seconds = 0.1
    seen_at = []
    async with stand.http.stream("POST", "/v1/completions", json={"model": "tiny", "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line:
                seen_at.append(asyncio.get_running_loop().time())
                last = line
    assert last == "data: [DONE]"
    assert len(seen_at) == 4
    assert seen_at[2] - seen_at[0] > 0.1


async def test_a_stream_of_an_adapter_names_its_version(stand):
    manifest = stand.publish("fix")
    async with stand.http.stream(
        "POST", "/v1/chat/completions", json={"model": "fix@latest", "stream": True}
    ) as response:
        assert response.headers["x-burnish-adapter-version"] == manifest.version
        await response.aread()
    assert stand.upstream.requests[0]["model"] == f"fix@{manifest.version}"


async def test_a_slow_reader_holds_the_upstream_back(stand, eventually):
    stand.upstream.chunks, stand.upstream.chunk_bytes = 2000, 64 * 1024
    host, port = httpx.URL(str(stand.http.base_url)).host, httpx.URL(str(stand.http.base_url)).port
    body = json.dumps({"model": "tiny", "stream": True}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: {stand.http.headers['authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, port)) as connection:
        await asyncio.to_thread(connection.sendall, head.encode() + body)
        await eventually(lambda: stand.upstream.chunks_sent > 0)
        settled = -1
        async with asyncio.timeout(5):
            while settled != stand.upstream.chunks_sent:
                settled = stand.upstream.chunks_sent
                await asyncio.sleep(0.2)
        assert settled < 1000
    await asyncio.wait_for(stand.upstream.cancelled.wait(), 5)


async def test_a_caller_who_leaves_a_stream_cancels_it_upstream(stand):
    stand.upstream.chunks, stand.upstream.delay_seconds = 1000, 0.02
    async with stand.http.stream("POST", "/v1/completions", json={"model": "tiny", "stream": True}) as response:
        async for _ in response.aiter_bytes():
            break
    await asyncio.wait_for(stand.upstream.cancelled.wait(), 5)
    assert stand.upstream.chunks_sent < 500


async def test_a_caller_who_leaves_while_waiting_cancels_upstream(stand):
    stand.upstream.delay_seconds = 30
    asking = asyncio.create_task(stand.chat("tiny"))
    while not stand.upstream.requests:
        await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait_for(stand.upstream.cancelled.wait(), 5)


async def test_a_stream_that_breaks_off_ends_in_an_error_event(stand):
    stand.upstream.chunks, stand.upstream.break_after = 5, 2
    response = await stand.http.post("/v1/completions", json={"model": "tiny", "stream": True})
    events = [line for line in response.text.splitlines() if line]
    assert len(events) == 3
    assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "unavailable"


async def test_the_engines_own_4xx_keep_their_message_and_field(stand):
    for status, code in ((400, "invalid_input"), (404, "model_not_found"), (422, "invalid_input")):
        stand.upstream.status = status
        response = await stand.chat("tiny")
        assert response.status_code == status
        error = response.json()["error"]
        assert error["message"] == "from vLLM"
        assert (error["param"], error["code"]) == ("max_tokens", code)


async def test_a_prompt_that_does_not_fit_has_the_code_that_openais_clients_look_for(stand):
    stand.upstream.status = 400
    stand.upstream.refusal = (
        "This model's maximum context length is 2048 tokens. However, your prompt contains 2500 input tokens"
    )
    error = (await stand.chat("tiny")).json()["error"]
    assert (error["code"], error["reason"]) == ("context_length_exceeded", "INVALID_INPUT")
    assert "2048" in error["message"]


async def test_an_engine_failure_is_500_while_it_lives_and_503_when_it_is_dead(stand):
    stand.upstream.status = 500
    response = await stand.chat("tiny")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert "from vLLM" not in response.text
    stand.upstream.healthy = False
    response = await stand.chat("tiny")
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "unavailable"
    assert int(response.headers["retry-after"]) > 0


async def test_while_the_engine_is_down_every_completion_is_503(stand):
    stand.publish("fix")
    stand.engine.is_up = False
    for model in ("tiny", "fix@latest"):
        response = await stand.chat(model)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) == 5


async def test_an_engine_that_refuses_connections_is_503(stand):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        stand.upstream.url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    response = await stand.chat("tiny")
    assert response.status_code == 503
    assert "retry-after" in response.headers
