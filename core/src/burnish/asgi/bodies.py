"""Bounds on request bodies: how large, and how long a sender may keep the service waiting for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from burnish.asgi.types import Application, Receive, Scope, Send

LIMIT = "body_limit_bytes"  # in scope["state"]: what a route sets before it reads, if it takes more than the default
TOO_LARGE, TOO_SLOW = 413, 408


@dataclass(frozen=True)
class Pace:
    """idle_seconds: longest wait for the next bytes. A sender may keep the service waiting for grace_seconds in all, and a
    second more for each least_bytes_per_second that it has sent."""

    idle_seconds: float = 30.0
    grace_seconds: float = 60.0
    least_bytes_per_second: float = 16 * 1024


class BodyLimits:
    """Middleware: reading a body that is too large or too slow raises what `failure(status, message)` makes.

    Nothing is read of a body whose Content-Length is above the limit. The limit is `limit_of(scope)`, unless the route has
    set its own in `scope["state"][LIMIT]`. What still comes of a body that was refused is discarded by the server (connections.py).
    """

    def __init__(
        self,
        app: Application,
        limit_of: Callable[[Scope], int],
        failure: Callable[[int, str], Exception],
        pace: Pace = Pace(),
    ) -> None:
        self._app = app
        self._limit_of = limit_of
        self._failure = failure
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        body = _Body(scope, receive, self._limit_of(scope), self._failure, self._pace)
        return await self._app(scope, body.receive, send)


class _Body:
    """One request's body on its way to the route."""

    def __init__(
        self, scope: Scope, receive: Receive, limit: int, failure: Callable[[int, str], Exception], pace: Pace
    ) -> None:
        self._state = scope.setdefault("state", {})
        self._receive = receive
        self._limit = limit
        self._failure = failure
        self._pace = pace
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        self._declared = int(declared) if declared.isdigit() else 0
        self._size = 0
        self._waited_seconds = 0.0
        self._is_read = self._declared == 0 and b"transfer-encoding" not in headers

    async def receive(self) -> Scope:
        if self._is_read:  # what comes now is the caller's leaving, for which nobody sets a time
            return await self._receive()
        self._check_size(self._declared)
        message = await self._next()
        self._size += len(message.get("body", b""))
        self._check_size(self._size)
        self._is_read = not message.get("more_body", False)
        return message

    async def _next(self) -> Scope:
        pace, loop = self._pace, asyncio.get_running_loop()
        allowed = pace.grace_seconds + self._size / pace.least_bytes_per_second - self._waited_seconds
        started = loop.time()
        try:
            async with asyncio.timeout(min(pace.idle_seconds, allowed)):
                return await self._receive()
        except TimeoutError:
            raise self._failure(
                TOO_SLOW,
                f"the request body came too slowly: {self._size} bytes, then none in time; send it again at "
                f"{pace.least_bytes_per_second:.0f} bytes a second or more",
            ) from None
        finally:
            self._waited_seconds += loop.time() - started

    def _check_size(self, size: int) -> None:
        limit = self._state.get(LIMIT, self._limit)
        if size > limit:
            raise self._failure(TOO_LARGE, f"the request body is larger than {limit} bytes")
