"""Reads manifests, and the files that they list, from the object store. They are kept in memory, and on local disk for the next start."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock, RLock
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from pydantic import ValidationError

from burnish.errors import AlreadyExistsError, CorruptDataError, ErasedError, NotFoundError
from burnish.objectstores.manifests import read_listing, read_manifest
from burnish.objectstores.verified import get_verified
from burnish.ports import ObjectInfo, ObjectStore
from burnish.registry.holding import Kind, Thing
from burnish.registry.manifests import listed_manifests
from burnish.registry.removal import remove
from burnish.schemas.base import FileEntry, Listing, Manifest
from burnish.service.paging import newest_first
from burnish_curator.manifest_file import ManifestFile

ManifestType = TypeVar("ManifestType", bound=Manifest)
KEPT = 10_000
LISTED_SECONDS = 60.0
LATEST = "latest"


class Manifests(Generic[ManifestType]):
    """Manifests of one kind, by the names that their key is made of. Thread-safe: the worst a race does is to read one twice.

    key: the function of `burnish.layout` that makes a key of those names and a file. noun and hint: what an error calls
    the thing, and where a caller finds those that exist. kind: what lineage calls it. cache_dir: where those that were read are kept
    for the next start; it belongs to this process.
    """

    def __init__(
        self,
        store: ObjectStore,
        schema: type[ManifestType],
        key: Callable[..., str],
        kind: Kind,
        noun: str,
        hint: str,
        cache_dir: Path | None = None,
    ) -> None:
        self._store = store
        self._schema = schema
        self._key = key
        self._kind = kind
        self._noun = noun
        self._hint = hint
        self._kept: dict[str, ManifestType] = {}
        self._etags: dict[str, str] = {}  # of those kept that a listing had
        self._file = ManifestFile(cache_dir / "manifests" / f"{kind}.jsonl" if cache_dir else None)
        self._listed: dict[
            str, tuple[float, list[ObjectInfo]]
        ] = {}  # the newest listing, for the pages that follow its first
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

    def read_all(self, folder: str, goes_on: bool = False) -> Listing[ManifestType]:
        """Those below a folder (which ends in a slash), newest first: one listing, and each manifest once, for as long as it is that object.

        A folder without a manifest is an upload that has not ended. goes_on: what was listed within LISTED_SECONDS will do.
        """
        listed_at, listed = self._listed.get(folder, (float("-inf"), []))
        if not goes_on or time.monotonic() - listed_at > LISTED_SECONDS:
            listed_at, listed = time.monotonic(), list(listed_manifests(self._store, folder))
            self._listed = {folder: (listed_at, listed)}
            self._recall(listed)
            if folder.count("/") == 1:
                self._file.clear_if_stale(len(listed))
        found = read_listing(self._read_key, [info.key for info in listed])
        kept = ((info, self._kept.get(info.key)) for info in listed if self._file.lacks(info))
        # Without what was not stated: a version's digest is of the fields that its manifest states.
        self._file.add((info, each.model_dump_json(exclude_unset=True)) for info, each in kept if each is not None)
        return Listing(sorted(found, key=newest_first, reverse=True), found.broken)

    def _recall(self, listed: Sequence[ObjectInfo]) -> None:
        """Forget what is another object now, and take what an earlier process has read of those that are not in memory."""
        on_disk = self._file.take(listed)
        for info in listed:
            if self._etags.get(info.key) == info.etag:
                continue
            self._kept.pop(info.key, None)
            self._etags[info.key] = info.etag
            if info.key in on_disk:
                try:
                    self._kept[info.key] = self._schema.model_validate_json(on_disk[info.key])
                except ValidationError:  # another version of Burnish wrote it
                    self._file.drop(info.key)

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
        self._file.clear()

    def forget_all(self) -> None:
        self._kept.clear()
        self._file.clear()

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
        cache_dir: Path | None = None,
    ) -> None:
        super().__init__(store, schema, key, kind, kind, hint, cache_dir)
        self._folder = folder

    def list(self, name: str | None = None, goes_on: bool = False) -> Listing[ManifestType]:
        """Newest first; of one name or of all. goes_on: as `read_all` has it."""
        return self.read_all(self._folder if name is None else f"{self._folder}{name}/", goes_on)

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
