"""Takes vLLM from its device and brings it back: asleep and awake by its own endpoints, else by its end and a new start.

`/sleep` and `/wake_up` exist in vLLM with VLLM_SERVER_DEV_MODE=1 (vllm 0.32, entrypoints/serve/dev/sleep/api_router.py). They are
asked for on its socket here, and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

import aiohttp

from burnish.errors import UnavailableError
from burnish_inference.device import answers
from burnish_inference.engine.port import LeasableEngine

log = logging.getLogger(__name__)

LIMIT = aiohttp.ClientTimeout(total=300)  # weights go to host memory and back: 8B took 11 s and 2 s (vllm#48337)


class Control(Protocol):
    """The engine as keeper.py needs it. Every method but `watch` and `is_up` changes what the engine does."""

    @property
    def is_up(self) -> bool: ...

    def watch(self, changed: Callable[[bool], None]) -> None:
        """Call `changed` when the engine has become healthy (True), and when it has ended or is about to be ended (False)."""
        ...

    async def sleep(self) -> None:
        """Give the device's memory back, and keep what is needed to come back. BurnishError if that failed."""
        ...

    async def wake(self) -> None:
        """Come back, and answer as before. BurnishError if it does not; it serves nobody then."""
        ...

    async def stop(self) -> None:
        """End it until `start`. Does not fail."""
        ...

    def start(self) -> None:
        """Start it; `watch` says when it is healthy."""
        ...


class EngineControl:
    """burnish_inference.device.control.Control over vLLM. adapter: the name of one that it knows, None if it knows none."""

    def __init__(
        self,
        engine: LeasableEngine,
        upstream: aiohttp.ClientSession,
        base: str,
        adapter: Callable[[], str | None],
    ) -> None:
        self._engine = engine
        self._upstream = upstream
        self._base = base
        self._adapter = adapter
        self._before: dict[str, answers.Answer] = {}

    @property
    def is_up(self) -> bool:
        return self._engine.is_up

    def watch(self, changed: Callable[[bool], None]) -> None:
        self._engine.watch(changed)

    async def sleep(self) -> None:
        models = [self._base, *filter(None, [self._adapter()])]
        self._before = {model: await answers.ask(self._upstream, self._engine.url, model) for model in models}
        self._engine.suspend()
        await self._post("/sleep", {"level": "1", "mode": "abort"})  # nothing is under way that it could abort

    async def wake(self) -> None:
        await self._post("/wake_up", {})
        for model, before in self._before.items():
            after = await answers.ask(self._upstream, self._engine.address, model)
            if not before.equals(after):
                raise UnavailableError(
                    f"{model} does not answer as before it slept: {''.join(before.tokens)!r} is now {''.join(after.tokens)!r}"
                )
        self._engine.resume()

    async def stop(self) -> None:
        await self._engine.hold()

    def start(self) -> None:
        self._engine.release()

    async def _post(self, path: str, query: dict[str, str]) -> None:
        try:
            async with self._upstream.post(self._engine.address + path, params=query, timeout=LIMIT) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"vLLM does not answer {path}: {error!r}") from error
        if response.status != HTTPStatus.OK:
            raise UnavailableError(f"vLLM answered {path} with {response.status}: {text[:300]}")
