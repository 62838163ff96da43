"""Each request's share of the engine: taken before vLLM sees it, given back once its answer has gone or its caller has."""

from __future__ import annotations

import re
from functools import partial

import aiohttp
from fastapi import Request

from burnish.asgi.types import Application, Receive, Scope, Send
from burnish_inference.admission import Admission
from burnish_inference.engine.port import Engine

DEFAULT_CAPACITY = 65_536  # tokens, if vLLM does not say how many its cache holds
CACHE = re.compile(rb"^vllm:cache_config_info\{(.*)\}", re.MULTILINE)
LABEL = rb'%s="([0-9]+)"'
TIMEOUT = aiohttp.ClientTimeout(total=5)
GIVE_BACK = "give_back_share"


class Shares:
    """capacity: tokens in flight of all callers together; None: as many as vLLM's key-value cache holds."""

    def __init__(self, engine: Engine, upstream: aiohttp.ClientSession, capacity: int | None) -> None:
        self._engine = engine
        self._upstream = upstream
        self._admission = Admission(capacity or DEFAULT_CAPACITY)
        self._is_known = capacity is not None

    async def take(self, request: Request, tokens: int) -> None:
        """Wait for this request's turn. `GivesBackShares` ends what it takes."""
        if not self._is_known:
            await self._ask_capacity()
        address = request.client.host if request.client else ""
        caller = f"key {request.state.caller}" if hasattr(request.state, "caller") else f"address {address}"
        taken = await self._admission.enter(caller, tokens)
        setattr(request.state, GIVE_BACK, partial(self._admission.leave, caller, taken))

    async def _ask_capacity(self) -> None:
        """Of vLLM, whose every start has the same settings, so once. If it does not say, the next request asks again."""
        try:
            async with self._upstream.get(f"{self._engine.url}/metrics", timeout=TIMEOUT) as answer:
                found = cache_tokens(await answer.read())
        except (aiohttp.ClientError, TimeoutError):
            return
        if found is not None:
            self._admission.capacity, self._is_known = found, True


def cache_tokens(exposition: bytes) -> int | None:
    """How many tokens the key-value cache holds, by vLLM's own metrics; None if they do not say."""
    if (info := CACHE.search(exposition)) is None:
        return None
    sizes = [re.search(LABEL % name, info[1]) for name in (b"block_size", b"num_gpu_blocks")]
    return int(sizes[0][1]) * int(sizes[1][1]) or None if sizes[0] and sizes[1] else None


class GivesBackShares:
    """Middleware: whatever became of a request, its share is given back when all of its answer has gone."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if give_back := scope.get("state", {}).pop(GIVE_BACK, None):
                give_back()
