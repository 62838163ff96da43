"""What the object store says about adapters: manifests and versions. Methods block: call them from a thread."""

from __future__ import annotations

import logging

from pydantic import ValidationError

from burnish import layout
from burnish.errors import BurnishError, IncompatibleAdapterError, NotFoundError
from burnish.ports import ObjectStore
from burnish.registry.references import LATEST
from burnish.schemas.adapter import AdapterManifest

log = logging.getLogger(__name__)


class AdapterCatalog:
    """Manifests are immutable, so each is read once; which versions exist is asked of the store every time."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._manifests: dict[tuple[str, str], AdapterManifest] = {}

    def manifest(self, name: str, version: str) -> AdapterManifest:
        """NotFoundError if there is none, IncompatibleAdapterError if it cannot be read."""
        known = self._manifests.get((name, version))
        if known is not None:
            return known
        check_reference(f"{name}@{version}", name, version)
        try:
            data = self._store.get(layout.adapter(name, version))
        except NotFoundError:
            raise unknown_model(f"{name}@{version}") from None
        try:
            manifest = AdapterManifest.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the document"
            raise IncompatibleAdapterError(
                f"the manifest of adapter {name}@{version} cannot be read: {field}: {first['msg']}"
            ) from error
        if (manifest.name, manifest.version) != (name, version):
            raise IncompatibleAdapterError(
                f"the manifest of adapter {name}@{version} names {manifest.name}@{manifest.version}"
            )
        self._manifests[name, version] = manifest
        return manifest

    def versions(self, name: str) -> list[AdapterManifest]:
        """Newest first; empty if there are none. Versions without a readable manifest are left out, with a warning."""
        check_reference(name, name)
        found = []
        for version in self._store.list_folders(f"adapters/{name}/"):
            try:
                found.append(self.manifest(name, version))
            except NotFoundError:
                continue  # files are there and the manifest, written last, is not: it does not exist yet
            except BurnishError as error:
                log.warning("left out of the listing: %s", error)
        return sorted(found, key=lambda manifest: (manifest.created_at, manifest.version), reverse=True)

    def all(self) -> list[AdapterManifest]:
        """Every version of every adapter, newest first."""
        found = [
            manifest
            for name in self._store.list_folders("adapters/")
            if layout.NAME.match(name)
            for manifest in self.versions(name)
        ]
        return sorted(found, key=lambda manifest: (manifest.created_at, manifest.version), reverse=True)

    def latest(self, name: str) -> AdapterManifest:
        """The newest version. NotFoundError if there is none."""
        for newest in self.versions(name):
            return newest
        raise unknown_model(f"{name}@{LATEST}")

    def forget(self, name: str, version: str) -> None:
        """It was removed from the store."""
        self._manifests.pop((name, version), None)


def check_reference(model: str, *names: str) -> None:
    """NotFoundError if `model` is made of names that no adapter can have: they never become part of a key or a path."""
    if not all(layout.NAME.fullmatch(name) for name in names):
        raise unknown_model(model)


def unknown_model(model: str) -> NotFoundError:
    return NotFoundError(f"the model {model!r} does not exist; GET /v1/models lists those that do", field="model")
