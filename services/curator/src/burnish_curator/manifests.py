"""Reads manifests, and the files that they list, from the object store. A manifest never changes once written, so it is kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock, RLock
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from burnish.errors import AlreadyExistsError, CorruptDataError, ErasedError, NotFoundError
from burnish.objectstores.manifests import read_listing, read_manifest
from burnish.objectstores.verified import get_verified
from burnish.ports import ObjectStore
from burnish.registry.holding import Kind, Thing
from burnish.registry.removal import remove
from burnish.schemas.base import FileEntry, Listing, Manifest

ManifestType = TypeVar("ManifestType", bound=Manifest)
KEPT = 10_000
LATEST = "latest"


class Manifests(Generic[ManifestType]):
    """Manifests of one kind, by the names that their key is made of. Thread-safe: the worst a race does is to read one twice.

    key: the function of `burnish.layout` that makes a key of those names and a file. noun and hint: what an error calls
    the thing, and where a caller finds those that exist. kind: what lineage calls it.
    """

    def __init__(
        self, store: ObjectStore, schema: type[ManifestType], key: Callable[..., str], kind: Kind, noun: str, hint: str
    ) -> None:
        self._store = store
        self._schema = schema
        self._key = key
        self._kind = kind
        self._noun = noun
        self._hint = hint
        self._kept: dict[str, ManifestType] = {}
        self._changing: WeakValueDictionary[tuple[str, ...], RLock] = WeakValueDictionary()
        self._naming = Lock()

    def changing(self, *names: str) -> RLock:
        """Held by whoever writes or removes this thing, so that a removal takes nothing of what is written meanwhile in this process."""
        with self._naming:
            return self._changing.setdefault(names, RLock())

    def get(self, *names: str) -> ManifestType | None:
        """The manifest; None if there is none. ErasedError if there was one, CorruptDataError if it cannot be read."""
        try:
            return self._read_key(self._key(*names))
        except ErasedError:
            raise
        except NotFoundError:
            return None

    def read(self, *names: str) -> ManifestType:
        """The manifest; NotFoundError if there is none."""
        manifest = self.get(*names)
        if manifest is None:
            raise self.missing(*names)
        return manifest

    def missing(self, *names: str) -> NotFoundError:
        return NotFoundError(f"no {self._noun} {'/'.join(names)!r}: {self._hint}")

    def read_all(self, names: Iterable[tuple[str, ...]]) -> Listing[ManifestType]:
        """Those that have a manifest, newest first. A folder without one is an upload that has not ended."""
        found = read_listing(self._read_key, (self._key(*each) for each in names))
        return Listing(sorted(found, key=lambda manifest: manifest.created_at, reverse=True), found.broken)

    def create(self, manifest: ManifestType, *names: str) -> ManifestType:
        """Write the manifest if there is none yet, and return the one that is there now."""
        try:
            self._store.put_if_absent(self._key(*names), manifest.model_dump_json(indent=2).encode())
        except AlreadyExistsError:
            return self.read(*names)
        return manifest

    def remove(self, *names: str) -> None:
        """Remove the thing and its files. NotFoundError if it is not there, HeldError if anything rests on it."""
        with self.changing(*names):
            self._kept.pop(self._key(*names), None)
            remove(self._store, Thing(self._kind, names[0], names[-1]))
            self._kept.pop(self._key(*names), None)  # it may have been read again meanwhile

    def forget(self, *names: str) -> None:
        """Read the manifest again when it is next asked for: it was changed."""
        self._kept.pop(self._key(*names), None)

    def forget_all(self) -> None:
        self._kept.clear()

    def file(self, entry: FileEntry, *names: str) -> bytes:
        """A file that the manifest lists. CorruptDataError if it is not what the manifest states."""
        return get_verified(self._store, self._key(*names, entry.path), entry)

    def _read_key(self, key: str) -> ManifestType:
        manifest = self._kept.get(key)
        if manifest is None:
            manifest = read_manifest(self._store, key, self._schema)
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = manifest
        return manifest


class Versions(Manifests[ManifestType]):
    """Manifests of things that have a name and versions. folder: where the names are, ending in a slash."""

    def __init__(
        self,
        store: ObjectStore,
        schema: type[ManifestType],
        key: Callable[..., str],
        kind: Kind,
        hint: str,
        folder: str,
    ) -> None:
        super().__init__(store, schema, key, kind, kind, hint)
        self._folder = folder

    def list(self, name: str | None = None) -> Listing[ManifestType]:
        """Newest first; of one name or of all."""
        names = [name] if name is not None else list(self._store.list_folders(self._folder))
        return self.read_all(
            (each, version) for each in names for version in self._store.list_folders(f"{self._folder}{each}/")
        )

    def find(self, name: str, version: str) -> ManifestType:
        """One version; `latest` is the newest that can be read. NotFoundError if there is none."""
        if version != LATEST:
            return self.read(name, version)
        found = self.list(name)
        for manifest in found:
            return manifest
        for broken in found.broken:
            raise CorruptDataError(broken.problem, key=broken.key)
        raise self.missing(name, version)
