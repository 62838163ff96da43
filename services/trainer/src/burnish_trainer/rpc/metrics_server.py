"""The trainer's metrics over HTTP, since Prometheus does not speak gRPC: GET /metrics with the token of every other call."""

from __future__ import annotations

import contextlib
import hmac
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from threading import Thread
from typing import Any, TypeAlias

import uvicorn
from prometheus_client import CollectorRegistry, make_asgi_app

from burnish.errors import PreconditionError
from burnish.service.certificates import ServerCertificate

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = "/metrics"


class MetricsPage:
    """The ASGI application. The token is compared in constant time, before the path: strangers learn nothing."""

    def __init__(self, registry: CollectorRegistry, token: str) -> None:
        self._page = make_asgi_app(registry)
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        sent = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(sent, self._expected):
            await _refuse(send, 401, "send `Authorization: Bearer <token>` with the trainer's BURNISH_TOKEN")
        elif (scope["method"], scope["path"]) != ("GET", PATH):
            await _refuse(send, 404, f"this server only has GET {PATH}")
        else:
            await self._page(scope, receive, send)


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})


@contextlib.contextmanager
def serving(
    page: MetricsPage, host: str, port: int | None, certificate: ServerCertificate | None = None
) -> Iterator[int | None]:
    """Serve the page inside the block; yields the port. port: 0 takes a free one, None serves nothing.

    In a thread with an event loop of its own, since a scrape asks the database and must not hold up the RPCs. certificate:
    for TLS; None: plain HTTP. PreconditionError if the address cannot be had.
    """
    if port is None:
        yield None
        return
    config = uvicorn.Config(
        page, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1,
        ssl_context_factory=(lambda *_: certificate.ssl_context()) if certificate else None,
    )  # fmt: skip
    with _listener(host, port) as listener:
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, args=([listener],), name="metrics")
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def _listener(host: str, port: int) -> socket.socket:
    try:
        # it listens already, so that whoever calls before the thread has started waits for it
        return socket.create_server((host, port), family=socket.getaddrinfo(host, port)[0][0])
    except OSError as error:
        raise PreconditionError(
            f"metrics cannot be served on {host}:{port}: {error.strerror}; end what uses it, or set another "
            "BURNISH_TRAINER_METRICS_PORT"
        ) from error
