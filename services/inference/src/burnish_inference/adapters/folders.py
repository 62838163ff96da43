"""Immutable local folders `<cache>/adapters/<name>@<version>`, each fetched once from the object store and verified.

vLLM reads a registered adapter again whenever it was evicted, and dies when the folder is gone: so a folder is never changed
or deleted once `open` has returned it.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

from burnish import layout
from burnish.digests import file_sha256
from burnish.errors import IncompatibleAdapterError, NotFoundError
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest
from burnish_inference.metrics import InferenceMetrics

log = logging.getLogger(__name__)


class AdapterFolders:
    """Not thread-safe for one version: the loader asks for each version once at a time. Methods block."""

    def __init__(self, store: ObjectStore, root: Path, metrics: InferenceMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._root = root.absolute() / "adapters"
        self._root.mkdir(parents=True, exist_ok=True)
        self._verified: set[Path] = set()

    def open(self, manifest: AdapterManifest) -> Path:
        """The folder with every file of the manifest, digests verified once a process. IncompatibleAdapterError where bytes differ or miss."""
        folder = self._root / f"{manifest.name}@{manifest.version}"
        if folder in self._verified:
            self._metrics.folder(is_cached=True)
            return folder
        if folder.exists() and not self._is_whole(folder, manifest):
            log.warning("%s does not match its manifest any more: fetched again", folder)
            shutil.rmtree(folder)
        is_cached = folder.exists()
        self._metrics.folder(is_cached)
        if not is_cached:
            self._fetch(manifest, folder)
        self._verified.add(folder)
        return folder

    @staticmethod
    def _is_whole(folder: Path, manifest: AdapterManifest) -> bool:
        if {path.name for path in folder.iterdir()} != {entry.path for entry in manifest.files}:
            return False
        return all(file_sha256(folder / entry.path) == entry.sha256 for entry in manifest.files)

    def _fetch(self, manifest: AdapterManifest, folder: Path) -> None:
        """Into a temporary folder beside it, then renamed: it appears whole or not at all, also after a power cut."""
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=self._root) as scratch:
            target = Path(scratch) / folder.name
            target.mkdir()
            for entry in manifest.files:
                path = target / entry.path
                try:
                    self._store.get_file(layout.adapter(manifest.name, manifest.version, entry.path), path)
                except NotFoundError:
                    raise IncompatibleAdapterError(
                        f"adapter {folder.name}: {entry.path} is in the manifest and not in the store"
                    ) from None
                if file_sha256(path) != entry.sha256:
                    raise IncompatibleAdapterError(
                        f"adapter {folder.name}: the stored bytes of {entry.path} do not match the digest in its manifest"
                    )
                _sync(path)
            _sync(target)
            target.rename(folder)
            _sync(self._root)


def _sync(path: Path) -> None:
    """Wait until a file or a folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
