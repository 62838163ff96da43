"""What the object store says about adapters: manifests and versions. Methods block: call them from a thread."""

from __future__ import annotations

import logging

from burnish import layout
from burnish.errors import CorruptDataError, IncompatibleAdapterError, NotFoundError
from burnish.objectstores.manifests import read_listing, read_manifest
from burnish.ports import ObjectStore
from burnish.registry.manifests import manifest_keys
from burnish.registry.references import LATEST
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import Listing
from burnish.service.paging import newest_first

log = logging.getLogger(__name__)


class AdapterCatalog:
    """Manifests are immutable, so each is read once; which versions exist is asked of the store every time."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._manifests: dict[str, AdapterManifest] = {}
        self.removals = 0  # of versions, by this server
        self._reported: set[str] = set()  # what is wrong with broken objects, so that it is logged once

    def manifest(self, name: str, version: str) -> AdapterManifest:
        """NotFoundError if there is none, IncompatibleAdapterError if it cannot be read."""
        check_reference(f"{name}@{version}", name, version)
        try:
            return self._read(layout.adapter(name, version))
        except NotFoundError:
            raise unknown_model(f"{name}@{version}") from None
        except CorruptDataError as error:
            raise IncompatibleAdapterError(f"adapter {name}@{version}: {error.message}") from error

    def versions(self, name: str) -> Listing[AdapterManifest]:
        """Newest first; empty if there are none. A version whose manifest cannot be read is logged once and kept apart."""
        check_reference(name, name)
        return self._list(f"adapters/{name}/")

    def all(self) -> Listing[AdapterManifest]:
        """Every version of every adapter, as `versions`."""
        return self._list("adapters/")

    def latest(self, name: str) -> AdapterManifest:
        """The newest version. NotFoundError if there is none."""
        for newest in self.versions(name):
            return newest
        raise unknown_model(f"{name}@{LATEST}")

    def forget(self, name: str, version: str) -> None:
        """It was removed from the store."""
        self.removals += 1
        self._manifests.pop(layout.adapter(name, version), None)

    def _list(self, folder: str) -> Listing[AdapterManifest]:
        """One listing. A folder without a manifest, which is written last, is a version that does not exist yet."""
        keys = (key for key in manifest_keys(self._store, folder) if layout.NAME.match(key.split("/")[1]))
        found = read_listing(self._read, keys)
        for broken in found.broken:
            if broken.problem not in self._reported:
                self._reported.add(broken.problem)
                log.warning("left out of the models: %s", broken.problem)
        return Listing(sorted(found, key=newest_first, reverse=True), found.broken)

    def _read(self, key: str) -> AdapterManifest:
        if key not in self._manifests:
            self._manifests[key] = read_manifest(self._store, key, AdapterManifest)
        return self._manifests[key]


def check_reference(model: str, *names: str) -> None:
    """NotFoundError if `model` is made of names that no adapter can have: they never become part of a key or a path."""
    if not all(layout.NAME.fullmatch(name) for name in names):
        raise unknown_model(model)


def unknown_model(model: str) -> NotFoundError:
    return NotFoundError(f"the model {model!r} does not exist; GET /v1/models lists those that do", field="model")
