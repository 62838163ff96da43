"""Serves the application until it is told to stop or the engine has failed for good."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from burnish_inference.engine.supervisor import Supervisor


class QuietServer(uvicorn.Server):
    """Leaves signals to `serve`: uvicorn's own handling raises them again on leaving, which would skip ending vLLM."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: FastAPI, host: str, port: int, drain_seconds: int, engine: Supervisor) -> None:
    """Until SIGTERM or SIGINT: no new connections, running requests get drain_seconds. Raises what made the engine fail for good."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=drain_seconds,
    )
    server = QuietServer(config)

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve())
    await asyncio.wait([serving, engine.failed], return_when=asyncio.FIRST_COMPLETED)
    stop()
    await serving
    if engine.failed.done():
        engine.failed.result()
