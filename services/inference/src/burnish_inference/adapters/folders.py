"""Immutable local folders `<cache>/adapters/<name>@<version>`, each fetched once from the object store and verified.

vLLM reads a registered adapter again whenever it was evicted, and dies if the folder is gone. So a folder is never changed
or deleted once `open` has returned it. The cache has a bound: those of earlier starts, used longest ago, make room for new ones.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from threading import Lock

from burnish import layout
from burnish.adapters.checks import CONFIG, WEIGHTS
from burnish.digests import version_of
from burnish.errors import CorruptDataError, IncompatibleAdapterError, NotFoundError, UnavailableError
from burnish.files import mark_used, sync, trim
from burnish.machine import disk
from burnish.objectstores.verified import fetch_verified, is_intact, require_version
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest
from burnish_inference.metrics import InferenceMetrics

log = logging.getLogger(__name__)

CACHE_BYTES = 20 * 1024**3
IN_USE_SECONDS = 60  # a folder that another thread has just fetched is not among the opened yet


class AdapterFolders:
    """Not thread-safe for one version: the loader asks for each version once at a time. Methods block."""

    def __init__(
        self, store: ObjectStore, root: Path, metrics: InferenceMetrics, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._root = root.absolute() / "adapters"
        self._root.mkdir(parents=True, exist_ok=True)
        self._cache_bytes = cache_bytes
        self._verified: set[Path] = set()
        self._trimming = Lock()
        for unfinished in self._root.glob(".fetch-*"):  # of a process that was killed
            shutil.rmtree(unfinished, ignore_errors=True)
        self._trim(unused_seconds=0)

    def open(self, manifest: AdapterManifest) -> Path:
        """The folder with every file of the manifest, digests verified once a process. IncompatibleAdapterError if bytes differ or are missing."""
        folder = self._root / f"{manifest.name}@{manifest.version}"
        if folder in self._verified:
            self._metrics.folder(is_cached=True)
            return folder
        if folder.exists():
            mark_used(folder)  # so that no other thread trims it
        if folder.exists() and not self._is_whole(folder, manifest):
            log.warning("%s does not match its manifest any more: fetched again", folder)
            shutil.rmtree(folder)
        is_cached = folder.exists()
        self._metrics.folder(is_cached)
        if not is_cached:
            self._fetch(manifest, folder)
        self._require_version(folder, manifest)
        self._verified.add(folder)
        self._trim(IN_USE_SECONDS)
        return folder

    def _trim(self, unused_seconds: float) -> None:
        with self._trimming:
            keep = {path.name for path in self._verified}
            for name in trim(self._root, self._cache_bytes, keep, unused_seconds):
                log.info("adapter %s left the cache: it was not used for longest", name)

    @staticmethod
    def _require_version(folder: Path, manifest: AdapterManifest) -> None:
        """The version is the content's own: manifest and files may have been overwritten together."""
        files = [folder / name for name in (CONFIG, WEIGHTS)]
        if not all(file.is_file() for file in files):
            return  # checks.py says what is missing
        try:
            require_version(
                f"adapter {folder.name}", manifest.version, version_of(*(file.read_bytes() for file in files))
            )
        except CorruptDataError as error:
            shutil.rmtree(folder)
            raise IncompatibleAdapterError(error.message) from error

    @staticmethod
    def _is_whole(folder: Path, manifest: AdapterManifest) -> bool:
        names = {path.name for path in folder.iterdir()}
        return names == {entry.path for entry in manifest.files} and all(
            is_intact(folder, entry) for entry in manifest.files
        )

    def _fetch(self, manifest: AdapterManifest, folder: Path) -> None:
        """Into a temporary folder beside it, then renamed: it appears whole or not at all, also after a power cut."""
        needed = sum(entry.size_bytes for entry in manifest.files)
        remedy = (
            "lower BURNISH_INFERENCE_CACHE_GIB and start again, or point BURNISH_INFERENCE_CACHE_DIR at a larger disk"
        )
        with (
            disk.needing(needed, self._root, f"fetch adapter {folder.name}", remedy, UnavailableError),
            tempfile.TemporaryDirectory(prefix=".fetch-", dir=self._root) as scratch,
        ):
            target = Path(scratch) / folder.name
            target.mkdir()
            for entry in manifest.files:
                key = layout.adapter(manifest.name, manifest.version, entry.path)
                try:
                    sync(fetch_verified(self._store, key, entry, target / entry.path))
                except NotFoundError:
                    raise IncompatibleAdapterError(
                        f"adapter {folder.name}: {entry.path} is in the manifest and not in the store"
                    ) from None
                except CorruptDataError as error:
                    raise IncompatibleAdapterError(
                        f"adapter {folder.name}: the stored bytes of {entry.path} do not match the digest in its manifest"
                    ) from error
            sync(target)
            target.rename(folder)
            sync(self._root)
