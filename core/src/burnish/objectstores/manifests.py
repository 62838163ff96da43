"""Reads manifests, one or a list. One that is broken is one broken entry of a list. Blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from burnish.errors import CorruptDataError, ErasedError, NotFoundError, validation_problems
from burnish.layout import TOMBSTONE
from burnish.ports import ObjectStore
from burnish.schemas.base import BrokenObject, Listing, Manifest
from burnish.schemas.erasure import Tombstone

Item = TypeVar("Item")
Document = TypeVar("Document", bound=BaseModel)
ManifestType = TypeVar("ManifestType", bound=Manifest)
READERS = 8


def read_document(store: ObjectStore, key: str, schema: type[Document]) -> Document:
    """NotFoundError if there is none, ErasedError if there was one; CorruptDataError, which names the key and the field, if it cannot be read."""
    try:
        data = store.get(key)
    except NotFoundError:
        check_not_erased(store, key)
        raise
    try:
        return schema.model_validate_json(data)
    except ValidationError as error:
        problems = validation_problems(error, whole="the document")
        raise CorruptDataError(f"{key} cannot be read: {problems}; restore it from a backup", key=key) from error


def check_not_erased(store: ObjectStore, key: str) -> None:
    """ErasedError if the thing whose manifest is missing at `key` was erased."""
    folder = key.rpartition("/")[0]
    try:
        tombstone = Tombstone.model_validate_json(store.get(f"{folder}/{TOMBSTONE}"))
    except NotFoundError:
        return
    kind, _, name = folder.partition("/")
    name = name.replace("/", "@")
    instead = f"; take {name.partition('@')[0]}@{tombstone.replaced_by}" if tombstone.replaced_by else ""
    raise ErasedError(
        f"{kind.removesuffix('s')} {name} was erased on {tombstone.erased_at:%Y-%m-%d} (erasure {tombstone.erasure}): it held text that had to go{instead}",
        erasure=tombstone.erasure,
        replaced_by=tombstone.replaced_by or "",
    )


def read_manifest(store: ObjectStore, key: str, schema: type[ManifestType]) -> ManifestType:
    """As `read_document`; CorruptDataError too if the manifest is that of another thing than its key says."""
    manifest = read_document(store, key, schema)
    stated = [manifest.id] if hasattr(manifest, "id") else [getattr(manifest, field) for field in ("name", "version")]
    if stated != key.split("/")[1:-1]:
        raise CorruptDataError(f"{key} is the manifest of {'@'.join(stated)}: restore it from a backup", key=key)
    return manifest


def read_listing(read: Callable[[str], Item], keys: Iterable[str]) -> Listing[Item]:
    """What `read` makes of each key, in their order; a broken object is kept apart, one removed meanwhile is left out."""

    def attempt(key: str) -> Item | BrokenObject | None:
        try:
            return read(key)
        except NotFoundError:
            return None
        except CorruptDataError as error:
            return BrokenObject(key=key, problem=error.message)

    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(attempt, keys))
    broken = [each for each in found if isinstance(each, BrokenObject)]
    return Listing([each for each in found if each is not None and not isinstance(each, BrokenObject)], broken)
