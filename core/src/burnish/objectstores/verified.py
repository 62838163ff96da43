"""Reading objects that a manifest names: what comes back has the size and the digest that the manifest states."""

from __future__ import annotations

from pathlib import Path

from burnish.digests import file_sha256, sha256_hex
from burnish.errors import CorruptDataError
from burnish.ports import ObjectStore
from burnish.schemas.base import FileEntry


def get_verified(store: ObjectStore, key: str, entry: FileEntry) -> bytes:
    """The bytes at `key`. NotFoundError if there are none, CorruptDataError if they are not what `entry` states."""
    data = store.get(key, entry.size_bytes)
    _check(key, entry, len(data), sha256_hex(data))
    return data


def fetch_verified(store: ObjectStore, key: str, entry: FileEntry, path: Path) -> Path:
    """Download to `path` and return it; errors as of `get_verified`, which leave no file at `path`. Another size is seen first."""
    store.get_file(key, path, entry.size_bytes)
    try:
        _check(key, entry, path.stat().st_size, file_sha256(path))
    except CorruptDataError:
        path.unlink()
        raise
    return path


def is_intact(folder: Path, entry: FileEntry) -> bool:
    """Whether the local file that `entry` names stands in `folder` with the stated size and digest."""
    path = folder / entry.path
    return path.is_file() and path.stat().st_size == entry.size_bytes and file_sha256(path) == entry.sha256


def require_version(what: str, stated: str, found: str) -> None:
    """CorruptDataError unless the content has the version that it was asked for by.

    Digests in a manifest do not tell if files and manifest were overwritten together; the version does, since it is the
    content's own and the caller has it from elsewhere.
    """
    if found != stated:
        raise CorruptDataError(
            f"{what}: the stored content is version {found}, not {stated}: it was overwritten; restore it from a backup",
            stated=stated,
            found=found,
        )


def _check(key: str, entry: FileEntry, size_bytes: int, sha256: str) -> None:
    if size_bytes != entry.size_bytes or sha256 != entry.sha256:
        raise CorruptDataError(
            f"{key} does not have the size and digest that its manifest states: restore it from a backup", key=key
        )
