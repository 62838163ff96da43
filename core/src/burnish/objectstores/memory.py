"""An object store in this process's memory: for tests and for one-off runs that keep nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from burnish.errors import AlreadyExistsError, ConflictError, NotFoundError
from burnish.files import write_atomically
from burnish.objectstores.keys import check_folder, check_key, check_prefix, check_size
from burnish.ports import ObjectInfo


class MemoryObjectStore:
    """burnish.ports.ObjectStore over a dict. Everything is gone with the object; put_file does hold the file in memory."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = Lock()

    def put(self, key: str, data: bytes) -> ObjectInfo:
        with self._lock:
            return self._write(check_key(key), data)

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        with self._lock:
            if check_key(key) in self._objects:
                raise AlreadyExistsError(f"an object already stands at {key}", key=key)
            return self._write(key, data)

    def put_if_match(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        with self._lock:
            if check_key(key) not in self._objects or self._info(key).etag != etag:
                raise ConflictError(
                    f"{key} is no longer at etag {etag}: read it again and decide again", key=key, etag=etag
                )
            return self._write(key, data)

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        return self.put(key, path.read_bytes())

    def get(self, key: str, size_bytes: int | None = None) -> bytes:
        with self._lock:
            data = self._read(check_key(key))
        check_size(key, len(data), size_bytes)
        return data

    def get_file(self, key: str, path: Path, size_bytes: int | None = None) -> ObjectInfo:
        with self._lock:
            data, info = self._read(check_key(key)), self._info(key)
        check_size(key, len(data), size_bytes)
        write_atomically(path, data, mode=0o600)
        return info

    def stat(self, key: str) -> ObjectInfo:
        with self._lock:
            self._read(check_key(key))
            return self._info(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        with self._lock:
            return iter([self._info(key) for key in sorted(self._objects) if key.startswith(prefix)])

    def list_folders(self, prefix: str) -> Iterator[str]:
        below = (info.key.removeprefix(prefix) for info in self.list(check_folder(prefix)))
        return iter(sorted({rest.split("/")[0] for rest in below if "/" in rest}))

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(check_key(key), None)

    def _write(self, key: str, data: bytes) -> ObjectInfo:
        self._objects[key] = bytes(data)
        return self._info(key)

    def _read(self, key: str) -> bytes:
        if key not in self._objects:
            raise NotFoundError(f"there is no object at {key}", key=key)
        return self._objects[key]

    def _info(self, key: str) -> ObjectInfo:
        data = self._objects[key]
        return ObjectInfo(key=key, size_bytes=len(data), etag=hashlib.md5(data, usedforsecurity=False).hexdigest())
