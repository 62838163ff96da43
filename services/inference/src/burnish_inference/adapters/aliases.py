"""Which version each alias answers with, kept up to date from the object store.

The alias objects are looked at twice a second. A changed alias answers with its old version until the new one is loaded
and has made one token; requests in flight are not touched. If the store does not answer, what is known stays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from burnish import layout
from burnish.errors import BurnishError, NotFoundError
from burnish.ports import ObjectStore
from burnish.registry.aliases import read_alias
from burnish.schemas.adapter import AdapterManifest, Alias
from burnish_inference.adapters.catalog import AdapterCatalog
from burnish_inference.adapters.loader import AdapterLoader

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
Aliases = dict[str, tuple[str, Alias | BurnishError]]  # key -> etag, and the alias or why it cannot be read
RETRY_SECONDS = 5.0  # before a version that could not be loaded is tried again


class AliasWatch:
    """`watching` keeps it up to date; without that, `refresh` does once."""

    def __init__(self, store: ObjectStore, catalog: AdapterCatalog, loader: AdapterLoader) -> None:
        self._store = store
        self._catalog = catalog
        self._loader = loader
        self._known: Aliases | None = None
        self._answering: dict[str, AdapterManifest] = {}
        self._warming: dict[str, asyncio.Task[None]] = {}
        self._retry_at: dict[str, float] = {}
        self._looking = asyncio.Lock()  # one look after the other, so that an older one never replaces a newer

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look at the store for as long as the block runs."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            for each in (task, *self._warming.values()):
                each.cancel()
            await asyncio.gather(task, *self._warming.values(), return_exceptions=True)

    async def resolve(self, name: str, alias: str) -> AdapterManifest | None:
        """The version that answers for an alias; None if it names none.

        Before the first version has answered that is the named one, loaded by whoever asks. Raises CorruptDataError for an
        alias that cannot be read, UnavailableError if the store has not answered since the start.
        """
        key = layout.alias(name, alias)
        _, found = (await self._look_once()).get(key, ("", None))
        if isinstance(found, BurnishError):
            raise found
        if found is None or found.version is None:
            return None
        return self._answering.get(key) or await asyncio.to_thread(self._catalog.manifest, found.name, found.version)

    async def named(self) -> list[Alias]:
        """Every alias that names a version, production first, then by name."""
        found = [alias for _, alias in (await self._look_once()).values()]
        aliases = [alias for alias in found if isinstance(alias, Alias) and alias.version]
        return sorted(aliases, key=lambda alias: (alias.alias != layout.PRODUCTION, alias.name, alias.alias))

    async def refresh(self, name: str, alias: str) -> None:
        """Look now, and return once this alias answers with what it names, if that can be loaded."""
        for _ in range(2):  # an earlier version of the alias may still be warming
            async with self._looking:
                await self._look()
            if (task := self._warming.get(layout.alias(name, alias))) is None:
                return
            await asyncio.wait([task])

    async def _watch(self) -> None:
        is_reachable = True
        while True:
            try:
                async with self._looking:
                    await self._look()
                is_reachable = True
            except BurnishError as error:
                if is_reachable:
                    log.warning("aliases stay as they are known: %s", error)
                is_reachable = False
            except Exception:
                log.exception("aliases stay as they are known")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_once(self) -> Aliases:
        """What is known; looks if nothing is yet."""
        if self._known is None:
            async with self._looking:
                if self._known is None:
                    await self._look()
        return self._known or {}

    async def _look(self) -> None:
        self._known = await asyncio.to_thread(self._read, self._known or {})
        wanted = {key: alias for key, (_, alias) in self._known.items() if isinstance(alias, Alias) and alias.version}
        for key in self._answering.keys() - wanted.keys():
            del self._answering[key]
        is_up = self._loader.engine_is_up()
        for key, alias in wanted.items():
            if self._is_answering(key, alias):
                continue
            if not is_up:
                self._answering.pop(key, None)  # when the engine is back, whoever asks first loads the named version
            elif key not in self._warming and time.monotonic() >= self._retry_at.get(key, 0.0):
                self._warming[key] = task = asyncio.create_task(self._warm(key, alias))
                task.add_done_callback(partial(self._warmed, key))

    def _warmed(self, key: str, _: asyncio.Task[None]) -> None:
        del self._warming[key]

    def _read(self, known: Aliases) -> Aliases:
        """Only what has changed is fetched."""
        found: Aliases = {}
        for info in self._store.list(layout.ALIASES):
            if known.get(info.key, ("", None))[0] == info.etag:
                found[info.key] = known[info.key]
                continue
            self._retry_at.pop(info.key, None)
            try:
                found[info.key] = info.etag, read_alias(self._store, info.key)
            except NotFoundError:
                continue
            except BurnishError as error:
                if error.code.http_status == 503:
                    raise
                log.error("%s", error)
                found[info.key] = info.etag, error
        return found

    def _is_answering(self, key: str, alias: Alias) -> bool:
        """With the version that it names, in the vLLM that runs now."""
        manifest = self._answering.get(key)
        return (
            manifest is not None
            and (manifest.name, manifest.version) == (alias.name, alias.version)
            and self._loader.is_loaded(manifest)
        )

    async def _warm(self, key: str, alias: Alias) -> None:
        assert alias.version is not None
        try:
            manifest = await asyncio.to_thread(self._catalog.manifest, alias.name, alias.version)
            await self._loader.warm(manifest)
        except BurnishError as error:
            self._retry_at[key] = time.monotonic() + RETRY_SECONDS
            log.warning("alias %s of %s does not answer with %s yet: %s", alias.alias, alias.name, alias.version, error)
            return
        _, named = (self._known or {}).get(key, ("", None))
        if isinstance(named, Alias) and (named.name, named.version) == (alias.name, alias.version):
            self._answering[key] = manifest
            log.info("alias %s of %s answers with %s", alias.alias, alias.name, alias.version)
