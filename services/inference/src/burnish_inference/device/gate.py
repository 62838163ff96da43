"""Lets completions in while vLLM serves, and counts those under way, so that the device is lent when nobody waits for an answer.

An ASGI middleware around the application: a request counts until its last byte is sent or its caller is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from burnish.errors import BurnishError, DeviceLentError

PATHS = frozenset({"/v1/chat/completions", "/v1/completions"})
RETRY_AFTER_SECONDS = 10


class Gate:
    """wait_seconds: how long a request waits for vLLM to be back, before it gets a DeviceLentError."""

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._opened, self._emptied = asyncio.Event(), asyncio.Event()
        self._opened.set()
        self._emptied.set()
        self._under_way = 0
        self._holder = ""

    def open(self) -> None:
        self._opened.set()

    def close(self, holder: str) -> None:
        """New requests wait. holder: whom for."""
        self._holder = holder
        self._opened.clear()

    def check(self) -> None:
        """DeviceLentError while new requests wait."""
        if not self._opened.is_set():
            raise DeviceLentError(
                f"training job {self._holder} has the engine's device: ask again in {RETRY_AFTER_SECONDS} s "
                "(`burnish status` shows for how long; BURNISH_INFERENCE_SHARING says whether devices are lent)",
                retry_after_seconds=RETRY_AFTER_SECONDS,
                job_id=self._holder,
            )

    async def is_empty(self, seconds: float) -> bool:
        """Whether every request that was let in has ended, within so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._emptied.wait(), seconds)
        return self._under_way == 0

    async def enter(self) -> None:
        """Wait to be let in; `leave` must follow. DeviceLentError after wait_seconds."""
        if not self._opened.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._opened.wait(), self._wait_seconds)
        self.check()
        self._under_way += 1
        self._emptied.clear()

    def leave(self) -> None:
        self._under_way -= 1
        if self._under_way == 0:
            self._emptied.set()


class GateMiddleware:
    """refusal: the response to an error, an ASGI application."""

    def __init__(self, app: ASGIApp, gate: Gate, refusal: Callable[[BurnishError], ASGIApp]) -> None:
        self._app = app
        self._gate = gate
        self._refusal = refusal

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or scope["path"] not in PATHS or scope["method"] != "POST":
            return self._app(scope, receive, send)
        return self._pass(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._gate.enter()
        except DeviceLentError as error:
            await self._refusal(error)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._gate.leave()
