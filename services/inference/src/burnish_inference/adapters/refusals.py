"""Adapters that were refused, so that the next request for one of them fetches and reads nothing. Methods block."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from burnish import layout
from burnish.digests import sha256_hex
from burnish.errors import IncompatibleAdapterError, NotFoundError
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest

KEPT = 1024
KEPT_SECONDS = 300.0
Etags = tuple[str | None, ...]  # of the manifest's files in their order; None: there is no such object


@dataclass(frozen=True)
class Refusal:
    message: str
    etags: Etags
    until: float


class Refusals:
    """By the digest of the manifest, for five minutes or until one of its objects changes. The oldest of 1,024 goes first. Thread-safe."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._known: OrderedDict[str, Refusal] = OrderedDict()

    def check(self, manifest: AdapterManifest) -> None:
        """Raises the refusal again if it still holds."""
        digest = digest_of(manifest)
        with self._lock:
            refusal = self._known.get(digest)
        if refusal is None:
            return
        if self._clock() < refusal.until and self._etags(manifest) == refusal.etags:
            raise IncompatibleAdapterError(refusal.message)
        with self._lock:
            self._known.pop(digest, None)

    def remember(self, manifest: AdapterManifest, error: IncompatibleAdapterError) -> None:
        refusal = Refusal(error.message, self._etags(manifest), self._clock() + KEPT_SECONDS)
        with self._lock:
            self._known[digest_of(manifest)] = refusal
            if len(self._known) > KEPT:
                self._known.popitem(last=False)

    def _etags(self, manifest: AdapterManifest) -> Etags:
        return tuple(self._etag(layout.adapter(manifest.name, manifest.version, e.path)) for e in manifest.files)

    def _etag(self, key: str) -> str | None:
        try:
            return self._store.stat(key).etag
        except NotFoundError:
            return None


def digest_of(manifest: AdapterManifest) -> str:
    return sha256_hex(manifest.model_dump_json().encode())
