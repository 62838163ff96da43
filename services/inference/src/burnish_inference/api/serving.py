"""Listens, and serves the application until it is told to stop or the engine has failed for good."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from burnish.asgi.connections import BoundedConnection
from burnish.errors import PreconditionError
from burnish.service.certificates import ServerCertificate
from burnish_inference.engine.supervisor import Supervisor


class Protocol(BoundedConnection, HttpToolsProtocol):
    """uvicorn's, with time limits on what a connection sends."""


class QuietServer(uvicorn.Server):
    """Leaves signals to `serve`: uvicorn's own handling raises them again on leaving, which would skip ending vLLM."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; PreconditionError if the address is taken or not this machine's. Port 0: a free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as on_error:
            listener = on_error.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            on_error.pop_all()
    except OSError as error:
        raise PreconditionError(
            f"cannot listen on {host}:{port}: {error.strerror}; end what uses it, or set BURNISH_INFERENCE_HOST and BURNISH_INFERENCE_PORT"
        ) from error
    return listener


async def serve(
    app: FastAPI,
    listener: socket.socket,
    drain_seconds: int,
    engine: Supervisor,
    certificate: ServerCertificate | None = None,
) -> None:
    """Serve over TLS if there is a certificate. On SIGTERM or SIGINT no new connections are taken, and running requests get drain_seconds.

    Raises what made the engine fail for good.
    """
    config = uvicorn.Config(
        app,
        http=Protocol,
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=drain_seconds,
        ssl_context_factory=(lambda *_: certificate.ssl_context()) if certificate else None,
    )
    server = QuietServer(config)

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait([serving, engine.failed], return_when=asyncio.FIRST_COMPLETED)
    stop()
    await serving
    if engine.failed.done():
        engine.failed.result()
