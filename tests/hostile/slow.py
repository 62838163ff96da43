"""Part 3: hundreds of connections that send a byte a second, or nothing, and how long a normal caller waits beside them."""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Barrier
from typing import Any

import httpx
from hostile.figures import Figure
from hostile.sending import Call, Service
from hostile.stack import Stack
from runlog_making import jsonl
from runlog_making import run as logged_run

MOST_SLOWER = 2.0
CALLS = 150
READY_SECONDS = 60.0
KINDS = 4  # of slow senders


def run(stack: Stack, connections: int) -> list[Figure]:
    """connections: held open to each service, one service after the other."""
    figures = []
    with stack.http("curator") as http:
        lines = jsonl(logged_run(f"q{number}") for number in range(5))
        curator = {
            "list run logs": lambda: http.get("/v1/runlogs"),
            "import": lambda: http.post("/v1/runlogs", params={"name": "normal"}, content=lines),
        }
        figures += _measure(stack, "curator", "/v1/runlogs?name=slow", connections, curator)
    with stack.http("inference") as http:
        body = {"model": stack.base_model(), "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        inference = {
            "list models": lambda: http.get("/v1/models"),
            "chat, one token": lambda: http.post("/v1/chat/completions", json=body),
        }
        figures += _measure(stack, "inference", "/v1/chat/completions", connections, inference)
    return figures


def _measure(
    stack: Stack, service: Service, target: str, connections: int, calls: dict[str, Callable[[], httpx.Response]]
) -> list[Figure]:
    """Alone before and after, and beside the slow ones in between."""
    before = {name: _seconds(call) for name, call in calls.items()}
    with _slow_senders(stack, service, target, connections) as held:
        beside = {name: _seconds(call) for name, call in calls.items()}
    after = {name: _seconds(call) for name, call in calls.items()}
    figures = [Figure("slow", f"{service}: connections held open, at least", held[0])]
    for name in calls:
        alone, slowed = statistics.median([*before[name], *after[name]]), statistics.median(beside[name])
        figures += [
            Figure("slow", f"{service}: {name}: p50 alone", round(alone * 1000, 2), unit="ms"),
            Figure("slow", f"{service}: {name}: p50 beside them", round(slowed * 1000, 2), unit="ms"),
            Figure("slow", f"{service}: {name}: times as long", round(slowed / alone, 2), MOST_SLOWER),
        ]
    return figures


def _seconds(call: Callable[[], httpx.Response]) -> list[float]:
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call().raise_for_status()
        took.append(time.perf_counter() - began)
    return took


@contextmanager
def _slow_senders(stack: Stack, service: Service, target: str, count: int) -> Iterator[list[int]]:
    """A process of its own holds them. What it yields says afterwards how many were open at the worst moment."""
    context = multiprocessing.get_context("spawn")
    ready, (ours, theirs), held = context.Barrier(2), context.Pipe(), [0]
    host, port = stack.address(service)
    whole = Call(service, "POST", target, [("Content-Length", "1000000")]).encoded(stack.token, f"{host}:{port}")
    process = context.Process(target=_hold, args=((host, port), whole, count, ready, theirs), daemon=True)
    process.start()
    try:
        ready.wait(READY_SECONDS)
        yield held
        ours.send("end")
        held[0] = ours.recv()
    finally:
        process.kill()
        process.join()


def _hold(address: tuple[str, int], request: bytes, count: int, ready: Barrier, pipe: Any) -> None:
    asyncio.run(_hold_open(address, request, count, ready, pipe))


async def _hold_open(address: tuple[str, int], request: bytes, count: int, ready: Barrier, pipe: Any) -> None:
    is_open = [False] * count
    senders = [asyncio.create_task(_send_slowly(address, request, number, is_open)) for number in range(count)]
    while not all(is_open):
        await asyncio.sleep(0.05)
    ready.wait(READY_SECONDS)
    least = count
    while not pipe.poll():
        least = min(least, sum(is_open))
        await asyncio.sleep(0.05)
    pipe.send(least)
    for sender in senders:
        sender.cancel()


async def _send_slowly(address: tuple[str, int], request: bytes, number: int, is_open: list[bool]) -> None:
    """One of four kinds: headers a byte a second, a body a byte a second, a body that stalls, and nothing at all. Comes back if it is closed."""
    head = request.index(b"\r\n\r\n") + 4
    sent_at_once = (number % KINDS == 1 and head) or (number % KINDS == 2 and head + 1) or 0
    pieces = request[sent_at_once:] + b" " * 1000 if number % KINDS in (0, 1) else b""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(request[:sent_at_once])
            is_open[number] = True
            closed = asyncio.ensure_future(reader.read())
            for byte in pieces:
                if closed.done():
                    break
                writer.write(bytes([byte]))
                await asyncio.wait([closed], timeout=1)
            with suppress(OSError):
                await closed
            writer.close()
        is_open[number] = False
