"""What was read of manifests, on local disk: after a start a list reads only those that are new. Losing the file costs time and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

import orjson

from burnish.ports import ObjectInfo

log = logging.getLogger(__name__)


class ManifestFile:
    """A line for each manifest: its key, the etag that a listing had for it, and its document. The last line of a key counts. Thread-safe.

    path: None if nothing is to be kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._etags: dict[str, str] = {}  # of what the file has
        self._unread: dict[str, tuple[str, str]] | None = (
            None  # key -> (etag, document) of an earlier process; None: not opened yet
        )
        self._lock = Lock()

    def take(self, listed: Iterable[ObjectInfo]) -> dict[str, str]:
        """Key -> document, of those listed that an earlier process left here and that are still the same object. Each is given once."""
        with self._lock:
            if self._unread is None:
                self._unread = self._read()
                self._etags = {key: etag for key, (etag, _) in self._unread.items()}
            left = self._unread
            same = [info.key for info in listed if left.get(info.key, ("", ""))[0] == info.etag]
            return {key: left.pop(key)[1] for key in same}

    def lacks(self, info: ObjectInfo) -> bool:
        return self._path is not None and self._etags.get(info.key) != info.etag

    def add(self, documents: Iterable[tuple[ObjectInfo, str]]) -> None:
        """Keep documents as their listings had them. If the disk does not take them, the next start reads them from the store."""
        lines = [(info, orjson.dumps([info.key, info.etag, document]) + b"\n") for info, document in documents]
        if self._path is None or not lines:
            return
        with self._lock:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab") as file:
                    file.write(b"".join(line for _, line in lines))
            except OSError as error:
                log.warning(
                    "%s cannot be written (%s): the next start reads manifests from the store", self._path, error
                )
                return
            self._etags |= {info.key: info.etag for info, _ in lines}

    def drop(self, key: str) -> None:
        """What it has of this key cannot be used: it is lacking now."""
        with self._lock:
            self._etags.pop(key, None)

    def clear(self) -> None:
        """Remove the file: something that it has must not be read again. What is in memory may be added anew."""
        with self._lock:
            self._unread, self._etags = {}, {}
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def clear_if_stale(self, live: int) -> None:
        """Clear it if most of its manifests are not there any more. live: how many there are."""
        if len(self._etags) > 2 * live + 100:
            self.clear()

    def _read(self) -> dict[str, tuple[str, str]]:
        """A line that was cut short, by a kill for example, is left out."""
        found: dict[str, tuple[str, str]] = {}
        if self._path is None or not self._path.is_file():
            return found
        with self._path.open("rb") as file:
            for line in file:
                try:
                    key, etag, document = orjson.loads(line)
                    found[str(key)] = str(etag), str(document)
                except (ValueError, TypeError):
                    continue
        return found
