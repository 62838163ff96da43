"""Changes of aliases and removals of versions: the registry's rules (core), with the engine asked first and followed up after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from burnish.errors import NotFoundError, PreconditionError
from burnish.ports import ObjectStore
from burnish.registry import remote_models
from burnish.registry.aliases import AliasRegistry
from burnish.registry.holding import Holder, Thing
from burnish.registry.removal import find_holders, remove
from burnish.schemas.adapter import AdapterManifest, Alias, AliasChange
from burnish.schemas.base import Listing
from burnish.schemas.training.hosted import RemoteModelManifest
from burnish_inference.adapters.aliases import AliasWatch
from burnish_inference.adapters.catalog import AdapterCatalog
from burnish_inference.adapters.loader import AdapterLoader
from burnish_inference.adapters.resolver import ModelResolver


class Promotions:
    def __init__(
        self,
        store: ObjectStore,
        catalog: AdapterCatalog,
        resolver: ModelResolver,
        loader: AdapterLoader,
        aliases: AliasWatch,
    ) -> None:
        self._store = store
        self._registry = AliasRegistry(store)
        self._catalog = catalog
        self._resolver = resolver
        self._loader = loader
        self._aliases = aliases

    async def promote(self, name: str, version: str, alias: str, by: str, override: str | None) -> Alias:
        """Check, load and warm the version, then let the alias name it. This server answers with it on return.

        Raises what `AliasRegistry.promote` does; NotFoundError for no such version, IncompatibleAdapterError for one that
        does not fit the served base, UnavailableError while the engine is down.
        """
        try:
            manifest = await self._resolver.adapter(f"{name}@{version}")
        except NotFoundError:
            await self._refuse_remote(name, version)
            raise
        await asyncio.to_thread(self._registry.check, manifest, override)
        await self._loader.warm(manifest)
        changed = await asyncio.to_thread(self._registry.promote, manifest, by=by, alias=alias, override=override)
        await self._aliases.refresh(name, alias)
        return changed

    async def _refuse_remote(self, name: str, version: str) -> None:
        """PreconditionError if it is a remote model: what stays with its provider is not served here."""
        with suppress(NotFoundError):
            found = await self.remote_model(name, version)
            raise PreconditionError(
                f"{name}@{version} is a remote model: it answers at {found.remote.label} as {found.remote.model}, to whoever has the "
                "account's key, and is not served here"
            )

    async def rollback(self, name: str, alias: str, by: str, reason: str | None) -> Alias:
        """Works while the engine is down: what the alias returns to is loaded when it is back."""
        changed = await asyncio.to_thread(self._registry.rollback, name, by=by, alias=alias, reason=reason)
        await self._aliases.refresh(name, alias)
        return changed

    async def remove_alias(self, name: str, alias: str, by: str, reason: str | None) -> Alias:
        changed = await asyncio.to_thread(self._registry.remove, name, by=by, alias=alias, reason=reason)
        await self._aliases.refresh(name, alias)
        return changed

    async def aliases(self) -> Listing[Alias]:
        """Every alias as it is stored, also those that name no version any more."""
        return await asyncio.to_thread(self._registry.all)

    async def history(self, name: str, alias: str) -> list[AliasChange]:
        """Newest first."""
        return list(reversed(await asyncio.to_thread(self._registry.history, name, alias)))

    async def holders(self, manifests: Sequence[AdapterManifest]) -> list[list[Holder]]:
        """Of each version, what holds it."""
        things = [Thing("adapter", manifest.name, manifest.version) for manifest in manifests]
        return await asyncio.to_thread(find_holders, self._store, things)

    async def remove(self, name: str, version: str) -> None:
        """Remove a version that nothing holds. HeldError, NotFoundError. A server that has it loaded keeps its copy."""
        await asyncio.to_thread(remove, self._store, Thing("adapter", name, version))
        self._catalog.forget(name, version)

    async def remote_models(self, name: str | None) -> Listing[RemoteModelManifest]:
        """Newest first."""
        return await asyncio.to_thread(remote_models.versions, self._store, name)

    async def remote_model(self, name: str, version: str) -> RemoteModelManifest:
        return await asyncio.to_thread(remote_models.read, self._store, name, version)

    async def remove_remote_model(self, name: str, version: str) -> None:
        """HeldError, NotFoundError."""
        await asyncio.to_thread(remove, self._store, Thing("remote_model", name, version))
