"""Makes an adapter version answerable: fetched, checked and registered in the vLLM that runs now, once for all who ask."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from http import HTTPStatus
from pathlib import Path

import aiohttp

from burnish.adapters.base import BaseModel
from burnish.adapters.checks import check_folder, check_manifest
from burnish.errors import IncompatibleAdapterError, InternalError, UnavailableError
from burnish.schemas.adapter import AdapterManifest
from burnish.telemetry.tracing import Tracing
from burnish_inference.adapters.folders import AdapterFolders
from burnish_inference.adapters.refusals import Refusals
from burnish_inference.adapters.single_flight import SingleFlight
from burnish_inference.engine.canary import is_sane
from burnish_inference.engine.port import Engine
from burnish_inference.metrics import InferenceMetrics

log = logging.getLogger(__name__)

PROBE_SECONDS = 60.0
LOAD_TIMEOUT = aiohttp.ClientTimeout(total=120)
WARMING_PROMPT = "1"
ALREADY_LOADED = "has already been loaded"


class AdapterLoader:
    """Registered names are `name@version`; a new generation of the engine knows none, so they are registered again on demand."""

    def __init__(
        self,
        base: BaseModel,
        max_rank: int,
        folders: AdapterFolders,
        refusals: Refusals,
        engine: Engine,
        upstream: aiohttp.ClientSession,
        metrics: InferenceMetrics,
        tracing: Tracing,
    ) -> None:
        self._base = base
        self._max_rank = max_rank
        self._folders = folders
        self._refusals = refusals
        self._engine = engine
        self._upstream = upstream
        self._metrics = metrics
        self._tracing = tracing
        self._registered: dict[str, int] = {}  # name -> the generation that knows it
        metrics.registered.set_function(lambda: list(self._registered.values()).count(engine.generation))
        self._loads: SingleFlight[str, None] = SingleFlight()

    async def ensure(self, manifest: AdapterManifest) -> str:
        """The name under which vLLM serves this version. IncompatibleAdapterError if it does not fit the base."""
        name = f"{manifest.name}@{manifest.version}"
        if self._registered.get(name) != self._engine.generation:
            await self._loads.run(name, lambda: self._load(name, manifest))
        return name

    def engine_is_up(self) -> bool:
        try:
            return bool(self._engine.url)
        except UnavailableError:
            return False

    def is_loaded(self, manifest: AdapterManifest) -> bool:
        """Whether the vLLM that runs now knows this version."""
        return self._registered.get(f"{manifest.name}@{manifest.version}") == self._engine.generation

    def newest(self) -> str | None:
        """The adapter that the vLLM that runs now learnt last; None if it knows none."""
        known = [name for name, generation in self._registered.items() if generation == self._engine.generation]
        return known[-1] if known else None

    async def warm(self, manifest: AdapterManifest) -> None:
        """Load this version, and let it make a token, so that the next request finds its weights where they are used.

        Errors as `ensure`; UnavailableError if the engine goes down meanwhile.
        """
        if self.is_loaded(manifest):
            return
        name = await self.ensure(manifest)
        body = {"model": name, "prompt": WARMING_PROMPT, "max_tokens": 1}
        try:
            url = f"{self._engine.url}/v1/completions"
            async with self._upstream.post(url, json=body, timeout=LOAD_TIMEOUT) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"the engine did not answer while adapter {name} was warmed: ask again") from error
        if not answer.ok:
            self.forget(name)
            raise UnavailableError(f"the engine did not answer with adapter {name}: {answer.status} {text[:500]}")

    def forget(self, name: str) -> None:
        """vLLM does not know it (any more): register it again at the next request."""
        self._registered.pop(name, None)

    async def _load(self, name: str, manifest: AdapterManifest) -> None:
        started = time.monotonic()
        with self._metrics.load(), self._tracing.span("load adapter", adapter=name):
            folder = await asyncio.to_thread(self._prepare, manifest)
            generation = self._engine.generation
            await self._register(name, folder)
            await self._examine(name, manifest)
            self._registered[name] = generation
        log.info("adapter %s loaded in %.2f s", name, time.monotonic() - started)

    def _prepare(self, manifest: AdapterManifest) -> Path:
        check_manifest(manifest, self._base, self._max_rank)
        self._refusals.check(manifest)
        try:
            folder = self._folders.open(manifest)
            check_folder(folder, manifest, self._base, self._max_rank)
        except IncompatibleAdapterError as error:
            self._refusals.remember(manifest, error)
            raise
        return folder

    async def _examine(self, name: str, manifest: AdapterManifest) -> None:
        """Ask the adapter and then the base the canary prompt. One that answers nonsense is unloaded, refused and remembered."""
        is_adapter_sane = await is_sane(self._upstream, self._engine.url, name, PROBE_SECONDS)
        if is_adapter_sane is False:
            await self._unload(name)
            error = IncompatibleAdapterError(
                f"adapter {name} passes every check and answers nonsense (its first token has no finite probability): train it again"
            )
            await asyncio.to_thread(self._refusals.remember, manifest, error)
            await self._engine.examine()
            raise error
        if not await self._engine.examine():
            raise UnavailableError(f"the engine answers nonsense since adapter {name} was loaded, and is started again")

    async def _unload(self, name: str) -> None:
        """If vLLM does not answer, it is about to be started again, and knows no adapter then."""
        url = f"{self._engine.url}/v1/unload_lora_adapter"
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._upstream.post(url, json={"lora_name": name}, timeout=LOAD_TIMEOUT) as answer:
                await answer.read()

    async def _register(self, name: str, folder: Path) -> None:
        body = {"lora_name": name, "lora_path": str(folder)}
        url = f"{self._engine.url}/v1/load_lora_adapter"
        try:
            async with self._upstream.post(url, json=body, timeout=LOAD_TIMEOUT) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"the engine did not answer while adapter {name} was loaded: ask again") from error
        if answer.ok or (answer.status == HTTPStatus.BAD_REQUEST and ALREADY_LOADED in text):
            return
        if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise IncompatibleAdapterError(f"the engine refused adapter {name}: {text[:500]}")
        if await self._engine.check():
            raise InternalError(f"the engine failed to load adapter {name}; its log has the reason")
        raise UnavailableError(f"the engine went down while adapter {name} was loaded: ask again in a few seconds")
