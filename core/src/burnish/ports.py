"""Ports: what the domain asks of the outside. The docstrings are the contract of every implementation.

`burnish.objectstores` has the implementations; `burnish.testing` the fakes; tests/contract holds them to this text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ObjectInfo:
    key: str
    size_bytes: int
    etag: str  # opaque; equal for equal content of one key, without quotes


class ObjectStore(Protocol):
    """A flat map from key to bytes in one bucket, strongly consistent (read-after-write, list-after-write).

    Keys are UTF-8, '/'-separated, never start with '/' and have no '.' or '..' part: else InvalidInputError.
    Every method raises UnavailableError when the store does not answer, after its own bounded retries.
    Thread-safe. All methods block; call them from a thread in async code.
    """

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """Write the whole object; a reader sees the old or the new bytes, never a part. Overwrites."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Write only if there is no object at key (If-None-Match: *). Of many racers exactly one wins; the others get AlreadyExistsError."""
        ...

    def put_if_match(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        """Replace only if the object's etag is still `etag` (If-Match); else ConflictError, also when it is gone."""
        ...

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        """Upload a file without holding it in memory (multipart if large). Overwrites."""
        ...

    def get(self, key: str, size_bytes: int | None = None) -> bytes:
        """All bytes; NotFoundError if there is none.

        size_bytes: CorruptDataError unless the object has that many, before its content is downloaded.
        """
        ...

    def get_file(self, key: str, path: Path, size_bytes: int | None = None) -> ObjectInfo:
        """Download to `path` without holding it in memory; appears whole or not at all. Errors and size_bytes as for `get`."""
        ...

    def stat(self, key: str) -> ObjectInfo:
        """NotFoundError if there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key starts with prefix, in ascending key order."""
        ...

    def list_folders(self, prefix: str) -> Iterator[str]:
        """The distinct next path parts under `prefix` (which is empty or ends in '/'), ascending, without slash: list_folders('datasets/') gives names."""
        ...

    def delete(self, key: str) -> None:
        """Remove; no error if there is none."""
        ...
