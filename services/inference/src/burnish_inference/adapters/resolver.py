"""From the `model` of a request to what serves it: the base, or one version of an adapter."""

from __future__ import annotations

import asyncio
import time

from burnish.schemas.adapter import AdapterManifest
from burnish_inference.adapters.catalog import AdapterCatalog
from burnish_inference.adapters.single_flight import SingleFlight

BARE_NAME_SECONDS = 1.0  # how long a bare name keeps its version before the store is asked again; a miss is never kept


class ModelResolver:
    """A name that was not there is found as soon as its manifest is; another version of a known name within a second."""

    def __init__(self, base_name: str, catalog: AdapterCatalog) -> None:
        self.base_name = base_name
        self._catalog = catalog
        self._current: dict[str, tuple[float, AdapterManifest]] = {}
        self._lookups: SingleFlight[str, AdapterManifest] = SingleFlight()

    async def resolve(self, model: str) -> AdapterManifest | None:
        """None for the base. NotFoundError for a name that is no model."""
        if model == self.base_name:
            return None
        asked_at, manifest = self._current.get(model, (float("-inf"), None))
        if manifest is not None and time.monotonic() - asked_at < BARE_NAME_SECONDS:
            return manifest
        return await self._lookups.run(model, lambda: self._look_up(model))

    async def _look_up(self, model: str) -> AdapterManifest:
        name, pinned, version = model.partition("@")
        if pinned:
            return await asyncio.to_thread(self._catalog.manifest, name, version)
        asked_at = time.monotonic()
        manifest = await asyncio.to_thread(self._catalog.current, name)
        self._current[name] = (asked_at, manifest)
        return manifest
