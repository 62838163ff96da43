"""A server over the in-memory store before a real HTTP server that stands in vLLM's place."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import uvicorn
from adapter_making import adapter_files, make_base, make_manifest, publish
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from burnish.adapters.base import BaseModel
from burnish.errors import UnavailableError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.ports import ObjectInfo
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.models import BaseModelRecord
from burnish_inference.api.app import create_app
from burnish_inference.api.dependencies import Deps
from burnish_inference.engine.canary import PROMPT

TOKEN = "unit-test-token"
CALLER_KEYS = {"app": "key-of-the-app", "batch": "key-of-the-batch"}
MAX_REQUEST_BYTES = 4096
MAX_RANK = 8


class QuietServer(uvicorn.Server):
    """Without uvicorn's signal handlers, which belong to the test runner."""

    @contextmanager
    def capture_signals(self):
        yield


class Socket:
    """A real server on a loopback port for the whole session, whose application each test sets."""

    def __init__(self) -> None:
        self.app: ASGIApp = Starlette()
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: no Nagle delays
        self.listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Socket]:
        server = QuietServer(
            uvicorn.Config(self, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1)
        )
        task = asyncio.create_task(server.serve(sockets=[self.listener]))
        try:
            yield self
        finally:
            server.should_exit = True
            await task
            self.listener.close()


@pytest.fixture(scope="session")
async def upstream_socket() -> AsyncIterator[Socket]:
    async with Socket().serving() as serving:
        yield serving


@pytest.fixture(scope="session")
async def server_socket() -> AsyncIterator[Socket]:
    async with Socket().serving() as serving:
        yield serving


@dataclass
class Upstream:
    """Answers as vLLM does, and remembers what it was asked. Settings are changed by tests between requests."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    traceparents: list[str | None] = field(default_factory=list)
    exposition: str = ""
    loads: list[dict[str, Any]] = field(default_factory=list)
    probed: list[str] = field(default_factory=list)
    insane: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=lambda: {"tiny"})
    chunks: int = 3
    chunk_bytes: int = 10
    chunks_sent: int = 0
    break_after: int | None = None
    delay_seconds: float = 0.0
    status: int = 200
    refusal: str = "from vLLM"
    load_status: int = 200
    healthy: bool = True
    voices: dict[str, list[str]] = field(default_factory=dict)  # model -> the tokens of its greedy answer
    slept: list[str] = field(default_factory=list)
    sleep_status: int = 200
    forgets_in_sleep: set[str] = field(default_factory=set)  # models that answer otherwise once awake
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def app(self) -> Starlette:
        routes = [
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/v1/completions", self.complete, methods=["POST"]),
            Route("/v1/load_lora_adapter", self.load, methods=["POST"]),
            Route("/v1/unload_lora_adapter", self.unload, methods=["POST"]),
            Route("/sleep", self.sleep, methods=["POST"]),
            Route("/wake_up", self.sleep, methods=["POST"]),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
        ]
        return Starlette(routes=routes)

    async def health(self, request: Request) -> Response:
        return Response(status_code=200 if self.healthy else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self.exposition, status_code=200 if self.healthy else 503)

    async def sleep(self, request: Request) -> Response:
        self.slept.append(f"{request.url.path}?{request.url.query}".rstrip("?"))
        if request.url.path == "/wake_up":
            self.voices |= {model: ["else"] for model in self.forgets_in_sleep}
        return Response("as vLLM says it", status_code=self.sleep_status)

    async def load(self, request: Request) -> Response:
        body = await request.json()
        await asyncio.sleep(self.delay_seconds)
        if self.load_status != 200:
            return JSONResponse({"error": {"message": "no"}}, status_code=self.load_status)
        if body["lora_name"] in self.known:
            message = f"The lora adapter '{body['lora_name']}' has already been loaded."
            return JSONResponse({"error": {"message": message, "code": 400}}, status_code=400)
        self.loads.append(body)
        self.known.add(body["lora_name"])
        return Response("ok")

    async def unload(self, request: Request) -> Response:
        self.known.remove((await request.json())["lora_name"])
        return Response("ok")

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        if body.get("prompt") == PROMPT:
            self.probed.append(body["model"])
            if body["model"] in self.insane:
                return JSONResponse({"error": {"message": "Out of range float values are not JSON compliant"}}, 400)
            tokens = self.voices.get(body["model"], [" Paris", "."])
            found = {"tokens": tokens, "token_logprobs": [-0.5] * len(tokens)}
            return JSONResponse({"choices": [{"text": "".join(tokens), "logprobs": found}]})
        self.requests.append(body)
        self.traceparents.append(request.headers.get("traceparent"))
        if self.status != 200:
            error = {"message": self.refusal, "type": "BadRequestError", "param": "max_tokens", "code": self.status}
            return JSONResponse({"error": error}, status_code=self.status)
        if body["model"] not in self.known:
            return JSONResponse({"error": {"message": f"{body['model']} does not exist"}}, status_code=404)
        if body.get("stream"):
            return StreamingResponse(self.events(), media_type="text/event-stream")
        try:
            await asyncio.wait_for(self.client_left(request), self.delay_seconds or 0.001)
        except TimeoutError:
            return JSONResponse({"model": body["model"], "choices": [{"message": {"content": "hello"}}]})
        self.cancelled.set()
        return Response()

    @staticmethod
    async def client_left(request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    async def events(self) -> AsyncIterator[bytes]:
        try:
            for number in range(self.chunks):
                if self.break_after == number:
                    raise RuntimeError("the engine died in the middle of a stream")
                yield b"data: " + json.dumps({"n": number, "pad": "x" * self.chunk_bytes}).encode() + b"\n\n"
                self.chunks_sent += 1
                await asyncio.sleep(self.delay_seconds)
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@dataclass
class SwitchableEngine:
    """The engine port, whose state a test sets; health is asked of the upstream on its socket."""

    upstream: Upstream
    generation: int = 1
    restarts: int = 0
    is_up: bool = True
    is_asleep: bool = False
    changed: Callable[[bool], None] = lambda is_up: None
    calls: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.upstream.url

    def watch(self, changed: Callable[[bool], None]) -> None:
        self.changed = changed

    def suspend(self) -> None:
        self.calls.append("suspend")
        self.is_asleep = True

    def resume(self) -> None:
        self.calls.append("resume")
        self.is_asleep = False

    async def hold(self) -> None:
        self.calls.append("hold")
        self.is_up = self.is_asleep = False

    def release(self) -> None:
        """A new vLLM at once, if there was none."""
        if not self.is_up:
            self.calls.append("release")
            self.generation += 1
            self.upstream.known = {"tiny"}
            self.upstream.voices.clear()
            self.is_up = True
            self.changed(True)

    @property
    def url(self) -> str:
        if not self.is_up or self.is_asleep:
            raise UnavailableError("the engine is restarting", retry_after_seconds=5)
        return self.upstream.url

    async def examine(self) -> bool:
        self.is_up &= "tiny" not in self.upstream.insane
        return self.is_up

    async def check(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.get(f"{self.upstream.url}/health")).is_success
            except httpx.TransportError:
                return False


class WatchedStore(MemoryObjectStore):
    """The shipped in-memory store, whose downloads a test can count, hold up, or see fail."""

    def __init__(self) -> None:
        super().__init__()
        self.downloads: list[str] = []
        self.open_gate = threading.Event()
        self.open_gate.set()
        self.is_down = False

    def get(self, key: str, size_bytes: int | None = None) -> bytes:
        if self.is_down:
            raise UnavailableError("the object store does not answer")
        return super().get(key, size_bytes)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        if self.is_down:
            raise UnavailableError("the object store does not answer")
        return super().list(prefix)

    def get_file(self, key: str, path: Path, size_bytes: int | None = None) -> ObjectInfo:
        self.downloads.append(key)
        assert self.open_gate.wait(20)
        return super().get_file(key, path, size_bytes)


@dataclass
class Stand:
    """Everything a test of the server touches."""

    upstream: Upstream
    engine: SwitchableEngine
    store: WatchedStore
    base: BaseModelRecord
    cache_dir: Path
    http: httpx.AsyncClient

    def publish(
        self, name: str = "fix", rank: int = 4, files: dict[str, bytes] | None = None, **changes: Any
    ) -> AdapterManifest:
        files = adapter_files(rank) if files is None else files
        return publish(self.store, make_manifest(name, files, self.base, rank, **changes), files)

    async def chat(self, model: Any, **parameters: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **parameters}
        return await self.http.post("/v1/chat/completions", json=body)


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    make_base(tmp_path / "base")
    return BaseModel.open(tmp_path / "base")


@pytest.fixture
def max_request_bytes() -> int:
    return MAX_REQUEST_BYTES


@asynccontextmanager
async def standing(
    tmp_path: Path, base: BaseModel, upstream_socket: Socket, server_socket: Socket, **more: Any
) -> AsyncIterator[Stand]:
    """The server on a socket, before an upstream on a socket. more: for Deps.wire; store: another one than a WatchedStore."""
    upstream = Upstream(url=upstream_socket.url)
    engine, store = SwitchableEngine(upstream), more.pop("store", None) or WatchedStore()
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client,
        httpx.AsyncClient(
            base_url=server_socket.url, headers=headers, limits=limits, timeout=20, trust_env=False
        ) as http,
    ):
        deps = Deps.wire(
            token=TOKEN,
            max_request_bytes=more.pop("max_request_bytes", MAX_REQUEST_BYTES),
            max_lora_rank=MAX_RANK,
            cache_dir=tmp_path / "cache",
            base=base,
            store=store,
            engine=engine,
            upstream=client,
            caller_keys=CALLER_KEYS,
            **more,
        )
        upstream_socket.app, server_socket.app = upstream.app(), create_app(deps)
        async with deps.device, deps.aliases.watching():
            yield Stand(upstream, engine, store, base.record, tmp_path / "cache", http)


@pytest.fixture
async def stand(
    tmp_path: Path, base: BaseModel, upstream_socket: Socket, server_socket: Socket, max_request_bytes: int
) -> AsyncIterator[Stand]:
    more = {"max_request_bytes": max_request_bytes}
    async with standing(tmp_path, base, upstream_socket, server_socket, **more) as stand:
        yield stand


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Any]:
    """await eventually(condition): within 20 s, else the test fails."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    return wait
