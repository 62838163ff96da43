"""A program in vLLM's place on its socket: `python -m lending.vllm SOCKET DEVICE CARD`. It answers, holds its card, sleeps and wakes.

DEVICE cuda: it holds 92 % of what the first GPU has, as vLLM does, and ends if that is not free. cpu: it takes the file CARD.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lending.card import Card

SHARE = 0.92
PHASE_SECONDS = 0.5  # of falling asleep, of waking and of an answer, so that there is a time at which to be killed
TOKENS = [" Paris", "."]


class Memory(Protocol):
    def take(self) -> None: ...

    def leave(self) -> None: ...


class Gpu:
    """Memory of the first GPU that this process sees."""

    def __init__(self) -> None:
        self._held: Any = None

    def take(self) -> None:
        import torch

        free, total = torch.cuda.mem_get_info()
        if free < SHARE * total:
            raise MemoryError(f"{free / 1e9:.1f} of {total / 1e9:.1f} GB are free: less than the share of {SHARE}")
        context = total - free
        self._held = torch.empty(int(SHARE * total) - context, dtype=torch.uint8, device="cuda")

    def leave(self) -> None:
        import torch

        self._held = None
        torch.cuda.empty_cache()


class Vllm:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._memory.take()

    async def health(self, request: Request) -> Response:
        return Response()

    async def sleep(self, request: Request) -> Response:
        await asyncio.sleep(PHASE_SECONDS)
        self._memory.leave()
        return Response()

    async def wake_up(self, request: Request) -> Response:
        await asyncio.sleep(PHASE_SECONDS)
        self._memory.take()
        return Response()

    async def completion(self, request: Request) -> Response:
        """Of the canary and of the comparison after sleep: the same each time."""
        found = {"tokens": TOKENS, "token_logprobs": [-0.5] * len(TOKENS)}
        return JSONResponse({"choices": [{"text": "".join(TOKENS), "logprobs": found}]})

    async def chat(self, request: Request) -> Response:
        body = json.loads(await request.body())
        if body.get("stream"):
            return StreamingResponse(self._stream(), media_type="text/event-stream")
        await asyncio.sleep(PHASE_SECONDS)
        return JSONResponse({"model": body["model"], "choices": [{"message": {"content": "hello"}}]})

    async def _stream(self) -> AsyncIterator[bytes]:
        for token in TOKENS:
            yield b"data: " + json.dumps({"choices": [{"delta": {"content": token}}]}).encode() + b"\n\n"
            await asyncio.sleep(PHASE_SECONDS / 2)
        yield b"data: [DONE]\n\n"

    def app(self) -> Starlette:
        routes = [
            Route("/health", self.health),
            Route("/metrics", self.health),
            Route("/sleep", self.sleep, methods=["POST"]),
            Route("/wake_up", self.wake_up, methods=["POST"]),
            Route("/v1/completions", self.completion, methods=["POST"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
        ]
        return Starlette(routes=routes)


def main() -> None:
    socket, device, card = sys.argv[1:4]
    vllm = Vllm(Gpu() if device == "cuda" else Card(Path(card)))
    uvicorn.run(vllm.app(), uds=socket, log_level="warning")


if __name__ == "__main__":
    main()
