"""From the `model` of a request to what serves it: the base, or one version of an adapter. The only place that decides this."""

from __future__ import annotations

import asyncio
import time

from burnish.errors import NotFoundError
from burnish.layout import PRODUCTION
from burnish.registry.references import Reference, parse_reference
from burnish.schemas.adapter import AdapterManifest
from burnish_inference.adapters.aliases import AliasWatch
from burnish_inference.adapters.catalog import AdapterCatalog, unknown_model
from burnish_inference.adapters.single_flight import SingleFlight

LATEST_SECONDS = 1.0  # how long `name@latest` keeps its version before the store is asked again; a miss is never kept


class ModelResolver:
    """A version is found as soon as its manifest exists; another newest version or another alias within a second."""

    def __init__(self, base_name: str, catalog: AdapterCatalog, aliases: AliasWatch) -> None:
        self.base_name = base_name
        self._catalog = catalog
        self._aliases = aliases
        self._latest: dict[str, tuple[float, AdapterManifest]] = {}
        self._lookups: SingleFlight[str, AdapterManifest] = SingleFlight()

    async def resolve(self, model: str) -> AdapterManifest | None:
        """None for the base. NotFoundError for a name that is no model; for a bare name without a production version it names the way to one."""
        return None if model == self.base_name else await self.adapter(model)

    async def adapter(self, model: str) -> AdapterManifest:
        """The version that `name`, `name@latest`, `name@<version>` or `name@<alias>` stands for. Errors as `resolve`."""
        reference = parse_reference(model)
        if reference is None:
            raise unknown_model(model)
        if reference.is_version:
            return await asyncio.to_thread(self._catalog.manifest, reference.name, reference.selector)
        if not reference.is_alias:
            return await self._newest(reference.name)
        found = await self._aliases.resolve(reference.name, reference.selector)
        if found is None:
            raise await asyncio.to_thread(self._refusal, model, reference)
        return found

    async def _newest(self, name: str) -> AdapterManifest:
        asked_at, manifest = self._latest.get(name, (float("-inf"), None))
        if manifest is not None and time.monotonic() - asked_at < LATEST_SECONDS:
            return manifest
        return await self._lookups.run(name, lambda: self._look_up(name))

    async def _look_up(self, name: str) -> AdapterManifest:
        asked_at = time.monotonic()
        manifest = await asyncio.to_thread(self._catalog.latest, name)
        self._latest[name] = (asked_at, manifest)
        return manifest

    def _refusal(self, model: str, reference: Reference) -> NotFoundError:
        """If the adapter exists, the commands that give the alias a version."""
        newest = next(iter(self._catalog.versions(reference.name)), None)
        if newest is None:
            return unknown_model(model)
        version, of_alias = f"{newest.name}@{newest.version}", ""
        if reference.selector != PRODUCTION:
            of_alias = f" --alias {reference.selector}"
        return NotFoundError(
            f"the adapter {reference.name!r} has no {reference.selector} version. Evaluate its newest with `burnish eval "
            f"--benchmark NAME --adapter {version}`, then let it answer with `burnish adapters promote {version}{of_alias}`; "
            f"{reference.name}@latest asks the newest as it is",
            field="model",
        )
