"""The trainer's metrics over HTTP, since Prometheus does not speak gRPC: GET /metrics with the token of every other call."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any, TypeAlias

import uvicorn
from prometheus_client import CollectorRegistry

from burnish.certificates import DoorCertificate
from burnish.errors import PreconditionError
from burnish.telemetry import metrics

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = "/metrics"
PLAIN = b"text/plain; charset=utf-8"


class MetricsPage:
    """The ASGI application. The token is compared in constant time, before the path: strangers learn nothing."""

    def __init__(self, registry: CollectorRegistry, token: str) -> None:
        self._registry = registry
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        sent = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(sent, self._expected):
            await _answer(send, 401, b"send `Authorization: Bearer <token>` with the trainer's BURNISH_TOKEN\n", PLAIN)
        elif (scope["method"], scope["path"]) != ("GET", PATH):
            await _answer(send, 404, f"there is GET {PATH} alone\n".encode(), PLAIN)
        else:
            page = await asyncio.to_thread(metrics.exposition, self._registry)
            await _answer(send, 200, page, metrics.CONTENT_TYPE.encode())


async def _answer(send: Send, status: int, body: bytes, content_type: bytes) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    """Leaves signals to main.py."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    page: MetricsPage, host: str, port: int | None, certificate: DoorCertificate | None = None
) -> AsyncIterator[int | None]:
    """Serve the page inside the block; yields the port. port: 0 takes a free one, None serves nothing.

    certificate: what the door shows over TLS; None: plain HTTP. PreconditionError where the address cannot be had.
    """
    if port is None:
        yield None
        return
    config = uvicorn.Config(
        page, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1,
        ssl_context_factory=(lambda *_: certificate.ssl_context()) if certificate else None,
    )  # fmt: skip
    with _listener(host, port) as listener:
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await task


def _listener(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as on_error:
            listener = on_error.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            on_error.pop_all()
    except OSError as error:
        raise PreconditionError(
            f"metrics cannot be served on {host}:{port}: {error.strerror}; end what uses it, or set another "
            "BURNISH_TRAINER_METRICS_PORT"
        ) from error
    return listener
