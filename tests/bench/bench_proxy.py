"""What the inference server adds to a request: the same requests direct and through the server, over real sockets.

    PYTHONPATH=tests .venv-inference/bin/python tests/bench/bench_proxy.py     a stand-in upstream that answers after 20 ms
    … --direct http://127.0.0.1:PORT --server http://127.0.0.1:PORT --model NAME     a running vLLM and the server before it (token: BURNISH_TOKEN)

Client, server and upstream are three processes. Direct and server take turns, run by run; printed are medians over all runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvicorn
from adapter_making import make_base

from burnish.adapters.base import BaseModel
from burnish.objectstores.memory import MemoryObjectStore
from burnish_inference.api.app import create_app
from burnish_inference.api.dependencies import Deps, open_upstream

TOKEN = "bench-token"
UPSTREAM_SECONDS = 0.02
ANSWER = orjson.dumps(
    {"id": "x", "model": "tiny", "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 60}}]}
)


@dataclass(frozen=True)
class Overhead:
    """Medians in milliseconds at one concurrency."""

    concurrency: int
    direct_ms: float
    server_ms: float

    @property
    def added_ms(self) -> float:
        return self.server_ms - self.direct_ms

    def line(self) -> str:
        ratio = self.server_ms / self.direct_ms
        return f"concurrency {self.concurrency:3d}: direct {self.direct_ms:8.2f} ms, server {self.server_ms:8.2f} ms, added {self.added_ms:6.2f} ms, ratio {ratio:.3f}"


async def upstream(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An ASGI application that answers as vLLM does, after UPSTREAM_SECONDS."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(UPSTREAM_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": ANSWER})


def run_upstream(listener: socket.socket) -> None:
    run(serve(upstream, listener))


def run_front(listener: socket.socket, upstream_url: str, folder: Path) -> None:
    run(serve_front(listener, upstream_url, folder))


async def serve_front(listener: socket.socket, upstream_url: str, folder: Path) -> None:
    """The real application; only the engine behind it is the stand-in."""
    make_base(folder / "base")
    async with open_upstream() as towards_upstream:
        deps = Deps.wire(
            token=TOKEN,
            max_request_bytes=2**20,
            max_lora_rank=8,
            cache_dir=folder,
            base=BaseModel.open(folder / "base"),
            store=MemoryObjectStore(),
            engine=StandingEngine(upstream_url),
            upstream=towards_upstream,
        )
        await serve(create_app(deps), listener)


@dataclass
class StandingEngine:
    url: str
    generation: int = 1
    restarts: int = 0

    async def check(self) -> bool:
        return True


async def serve(app: Any, listener: socket.socket) -> None:
    await uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")).serve(
        sockets=[listener]
    )


def run(main: Coroutine[Any, Any, None]) -> None:
    """On uvloop if it is installed, as the server itself runs."""
    with asyncio.Runner(loop_factory=uvicorn.Config(None).get_loop_factory()) as runner:
        runner.run(main)


def listening() -> socket.socket:
    """On a free loopback port. The protocol is named, since asyncio switches Nagle's algorithm off only where it is."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


@contextlib.contextmanager
def stand() -> Iterator[tuple[str, str]]:
    """(direct URL, server URL), each a process of its own."""
    context = multiprocessing.get_context("fork")
    with (
        tempfile.TemporaryDirectory() as folder,
        listening() as one,
        listening() as two,
    ):
        direct, server = (f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in (one, two))
        processes = [
            context.Process(target=run_upstream, args=(one,)),
            context.Process(target=run_front, args=(two, direct, Path(folder))),
        ]
        for process in processes:
            process.start()
        try:
            yield direct, server
        finally:
            for process in processes:
                process.terminate()
                process.join()


@contextlib.asynccontextmanager
async def client(url: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120, trust_env=False) as made:
        yield made


async def latencies(http: httpx.AsyncClient, model: str, concurrency: int, requests: int) -> list[float]:
    """Seconds of each request, `concurrency` of them at any time."""
    body = {"model": model, "messages": [{"role": "user", "content": "word " * 200}], "max_tokens": 1, "temperature": 0}
    left = iter(range(requests))
    seconds: list[float] = []

    async def ask() -> None:
        for _ in left:
            started = time.perf_counter()
            response = await http.post("/v1/chat/completions", json=body)
            seconds.append(time.perf_counter() - started)
            response.raise_for_status()

    await asyncio.gather(*(ask() for _ in range(concurrency)))
    return seconds


async def measure(
    direct_url: str, server_url: str, token: str, model: str, concurrency: int, requests: int, runs: int
) -> Overhead:
    direct: list[float] = []
    server: list[float] = []
    async with client(direct_url, token) as to_direct, client(server_url, token) as to_server:
        for http in (to_direct, to_server):
            await latencies(http, model, concurrency, 2 * concurrency)  # connections, first calls
        for _ in range(runs):
            direct += await latencies(to_direct, model, concurrency, requests)
            server += await latencies(to_server, model, concurrency, requests)
    return Overhead(concurrency, statistics.median(direct) * 1000, statistics.median(server) * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direct", help="URL of a running vLLM")
    parser.add_argument("--server", help="URL of the server before it")
    parser.add_argument("--model", default="tiny", help="model to ask; one token a request")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--requests", type=int, default=100, help="a run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--limit-ms", type=float, help="exit 1 if the server adds more at any concurrency")
    given = parser.parse_args()
    if (given.direct is None) != (given.server is None):
        parser.error("give both --direct and --server, or neither")
    with contextlib.ExitStack() as stack:
        direct, server = (given.direct, given.server) if given.direct else stack.enter_context(stand())
        token = os.environ["BURNISH_TOKEN"] if given.direct else TOKEN
        for concurrency in given.concurrency:
            overhead = asyncio.run(measure(direct, server, token, given.model, concurrency, given.requests, given.runs))
            print(overhead.line(), flush=True)
            if given.limit_ms is not None and overhead.added_ms >= given.limit_ms:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
