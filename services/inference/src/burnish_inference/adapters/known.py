"""Adapter versions for `GET /v1/models`, which tools poll, and for the further pages of a list: answered from what a listing found a moment ago."""

from __future__ import annotations

import asyncio
import time

from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import Listing
from burnish_inference.adapters.catalog import AdapterCatalog
from burnish_inference.adapters.single_flight import SingleFlight

FRESH_SECONDS = 1.0  # the bucket is listed at most this often, whoever asks
STALE_SECONDS = 5.0  # what is older is not answered with


class KnownAdapters:
    """A new version shows within STALE_SECONDS, and answers at once by its full name. A version that this server removed is gone at once."""

    def __init__(self, catalog: AdapterCatalog) -> None:
        self._catalog = catalog
        self._found: Listing[AdapterManifest] = Listing()
        self._listed_at = float("-inf")
        self._removals = 0
        self._listing: SingleFlight[str, None] = SingleFlight()
        self._refreshing: asyncio.Task[None] | None = None

    async def all(self) -> Listing[AdapterManifest]:
        """Newest first. Waits for a listing only if nobody has asked for a while."""
        age = time.monotonic() - self._listed_at
        if age > STALE_SECONDS or self._removals != self._catalog.removals:
            await self._listing.run("all", self._list)
        elif age > FRESH_SECONDS and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._listing.run("all", self._list))
            self._refreshing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._found

    async def pages(self, token: str) -> Listing[AdapterManifest]:
        """Newest first; for a first page (no token) as the bucket has them now, for another one as `all`."""
        if token:
            return await self.all()
        await self._listing.run("all", self._list)
        return self._found

    async def _list(self) -> None:
        asked_at, removals = time.monotonic(), self._catalog.removals
        self._found = await asyncio.to_thread(self._catalog.all)
        self._listed_at, self._removals = asked_at, removals
