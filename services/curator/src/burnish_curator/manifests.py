"""Reads manifests from the object store. They never change once written, so they are kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from burnish.digests import sha256_hex
from burnish.errors import AlreadyExistsError, CorruptDataError, NotFoundError
from burnish.layout import MANIFEST
from burnish.ports import ObjectStore
from burnish.schemas.base import FileEntry, Manifest

ManifestType = TypeVar("ManifestType", bound=Manifest)
READERS = 8
KEPT = 10_000


def read_file(store: ObjectStore, manifest_key: str, entry: FileEntry) -> bytes:
    """A file that the manifest at this key lists. CorruptDataError where its digest is another."""
    key = manifest_key.removesuffix(MANIFEST) + entry.path
    data = store.get(key)
    if sha256_hex(data) != entry.sha256:
        raise CorruptDataError(f"{key} is not what its manifest says: restore it from a backup", key=key)
    return data


class Manifests(Generic[ManifestType]):
    """Manifests of one kind by key. Thread-safe: the worst a race does is to read one twice."""

    def __init__(self, store: ObjectStore, schema: type[ManifestType]) -> None:
        self._store = store
        self._schema = schema
        self._kept: dict[str, ManifestType] = {}

    def read(self, key: str, missing: Callable[[], str]) -> ManifestType:
        """The manifest at key; NotFoundError with the text of `missing` where there is none."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        try:
            manifest = self._schema.model_validate_json(self._store.get(key))
        except NotFoundError:
            raise NotFoundError(missing()) from None
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[key] = manifest
        return manifest

    def read_all(self, keys: Iterable[str]) -> list[ManifestType]:
        """Those of the keys that have a manifest, newest first; a folder without one (an upload under way) is no thing yet."""
        with ThreadPoolExecutor(READERS) as pool:
            found = [manifest for manifest in pool.map(self._read_if_there, keys) if manifest is not None]
        return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)

    def create(self, key: str, manifest: ManifestType) -> ManifestType:
        """Write the manifest if none stands at key, and return the one that stands there."""
        try:
            self._store.put_if_absent(key, manifest.model_dump_json(indent=2).encode())
        except AlreadyExistsError:
            return self.read(key, lambda: f"{key} came and went")
        return manifest

    def _read_if_there(self, key: str) -> ManifestType | None:
        try:
            return self.read(key, lambda: key)
        except NotFoundError:
            return None
