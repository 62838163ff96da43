"""The inference server as main.py serves it, over an in-memory store and before a stand-in for vLLM that answers every chat.

A process of its own: `python inference_stand.py FOLDER PORT`; certificate from BURNISH_TLS_…, token from BURNISH_TOKEN.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
import uvicorn
import uvloop
from adapter_making import make_base
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from burnish.adapters.base import BaseModel
from burnish.objectstores.memory import MemoryObjectStore
from burnish.service.settings import TlsSettings
from burnish_inference.api.app import create_app
from burnish_inference.api.dependencies import Deps
from burnish_inference.api.serving import QuietServer, listen, serve


class StandIn:
    """The engine port: always up."""

    generation = 1

    def __init__(self, url: str) -> None:
        self.url = url
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def examine(self) -> bool:
        return True

    async def check(self) -> bool:
        return True


async def chat(request: Request) -> JSONResponse:
    body = await request.json()
    return JSONResponse({"model": body["model"], "choices": [{"message": {"content": "over TLS"}}], "usage": {}})


async def main(folder: Path, port: int) -> None:
    make_base(folder / "base")
    inner = listen("127.0.0.1", 0)
    upstream_app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    upstream = QuietServer(uvicorn.Config(upstream_app, log_config=None, lifespan="off"))
    task = asyncio.create_task(upstream.serve(sockets=[inner]))
    engine = StandIn(f"http://127.0.0.1:{inner.getsockname()[1]}")
    async with aiohttp.ClientSession() as towards_upstream:
        deps = Deps.wire(
            token=os.environ["BURNISH_TOKEN"],
            max_request_bytes=2**20,
            max_lora_rank=8,
            cache_dir=folder / "cache",
            base=BaseModel.open(folder / "base"),
            store=MemoryObjectStore(),
            engine=engine,
            upstream=towards_upstream,
        )
        await serve(create_app(deps), listen("127.0.0.1", port), 1, engine, TlsSettings().open())  # type: ignore[arg-type]
    upstream.should_exit = True
    await task


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
