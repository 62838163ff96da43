"""Strangers who send much, and callers who send slowly: they cost the curator nothing, and everybody else is answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from integration.curator.process import TOKEN, CuratorProcess, start_curator
from runlog_making import jsonl, repeated_failures

from burnish_curator.main import Protocol

MANY = 45  # more than a pool of threads has
PROMPT_SECONDS = 5.0


def head(curator: CuratorProcess, call: str, *headers: str) -> bytes:
    return "\r\n".join([f"{call} HTTP/1.1", f"Host: {curator.url.removeprefix('http://')}", *headers, "", ""]).encode()


@contextmanager
def sending(curator: CuratorProcess, *data: bytes) -> Iterator[list[socket.socket]]:
    """Connections that have sent so much and then send no more."""
    host, port = curator.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in data]
        for connection, some in zip(connections, data, strict=True):
            connection.settimeout(20)
            connection.sendall(some)
        yield connections


UNAUTHENTICATED = [
    ("POST /v1/datasets", "application/json", 401),
    ("POST /v1/runlogs?name=x", "application/x-ndjson", 401),
    ("PUT /v1/evals/e/report.html", "application/octet-stream", 401),
    ("POST /review/sign-in", "multipart/form-data; boundary=x", 413),
    ("POST /review/x/corrections", "multipart/form-data; boundary=x", 413),
]


@pytest.mark.parametrize(("call", "kind", "status"), UNAUTHENTICATED)
def test_a_stranger_is_answered_before_the_body_is_read(
    curator: CuratorProcess, call: str, kind: str, status: int
) -> None:
    request = head(curator, call, f"Content-Type: {kind}", "Content-Length: 400000000")
    with sending(curator, request) as (connection,):
        assert connection.makefile("rb").readline().startswith(f"HTTP/1.1 {status} ".encode())


def test_a_json_body_has_a_limit(curator: CuratorProcess) -> None:
    with curator.client() as client:
        answer = client.post("/v1/datasets", content=b"[" * 5_000_000, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "INVALID_INPUT")
    assert "4194304 bytes" in answer.json()["error"]["message"]


def test_uploads_that_stall_hold_up_nobody(curator: CuratorProcess) -> None:
    authorised = f"Authorization: Bearer {TOKEN}"
    stalled = head(curator, "POST /v1/runlogs?name=slow", authorised, "Content-Length: 1000000") + b"{"
    with sending(curator, *[stalled] * MANY), curator.client() as client:
        started = time.monotonic()
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/runlogs").status_code == 200
        lines = repeated_failures({"not-json": 3}, passing_questions=2)
        imported = client.post("/v1/runlogs", params={"name": "quick"}, content=jsonl(lines))
        assert imported.status_code == 200, imported.text
        assert time.monotonic() - started < PROMPT_SECONDS


class ImpatientProtocol(Protocol):
    headers_seconds = linger_seconds = 0.3


async def test_a_connection_has_a_limit_for_headers_and_for_what_comes_after_its_answer() -> None:
    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await asyncio.sleep(0.6)  # longer than headers may take, which is no concern of an answer
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps({"ok": True}).encode()})

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=ImpatientProtocol, lifespan="off", log_config=None))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    address = listener.getsockname()
    for begun in (b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(begun)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400000000\r\n\r\nx")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200")
    for _ in range(200):  # it goes on sending, so uvicorn's limit on silence never comes
        writer.write(b"x")
        await asyncio.sleep(0.02)
        if writer.transport.is_closing():
            break
    else:
        pytest.fail("the rest of a body that was answered may come for ever")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{address[1]}", trust_env=False) as client:
        for _ in range(2):  # the second on the same connection
            assert (await client.get("/")).json() == {"ok": True}
    server.should_exit = True
    await serving


@pytest.mark.parametrize(("proxies", "statuses"), [("", {401, 429}), ("127.0.0.1", {401})])
def test_the_sign_in_delay_believes_a_trusted_proxy_alone(
    s3: dict[str, str], tmp_path: Path, proxies: str, statuses: set[int]
) -> None:
    curator = start_curator(tmp_path, s3, TRUSTED_PROXIES=proxies)
    try:
        with httpx.Client(base_url=curator.url, trust_env=False, timeout=30) as caller:
            got = {
                caller.post(
                    "/review/sign-in",
                    data={"token": "wrong", "next": "/review"},
                    headers={"X-Forwarded-For": f"10.0.0.{number}"},
                ).status_code
                for number in range(6)
            }
        assert got == statuses
    finally:
        curator.stop()
