"""Clusterings in the object store. The newest of a run log stands: its names are the labels of the rows that it has."""

from __future__ import annotations

from burnish import layout
from burnish.clustering.finding import Found
from burnish.clustering.storage import ROWS, read_rows
from burnish.errors import CorruptDataError
from burnish.ports import ObjectStore
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.clustering import ClusteringManifest
from burnish_curator.manifests import Versions


class ClusteringRepository(Versions[ClusteringManifest]):
    def __init__(self, store: ObjectStore) -> None:
        hint = "`burnish clusters ls` lists them"
        super().__init__(store, ClusteringManifest, layout.clustering, "clustering", hint, layout.CLUSTERINGS)

    def standing(self, run_log_id: str) -> ClusteringManifest | None:
        """The newest one; None if there is none. CorruptDataError if one cannot be read: it may be the newest."""
        found = self.list(run_log_id)
        for broken in found.broken:
            raise CorruptDataError(broken.problem, key=broken.key)
        return found[0] if found else None

    def found(self, manifest: ClusteringManifest, log: RunLogReader) -> Found:
        return read_rows(self.rows(manifest), manifest, log)

    def rows(self, manifest: ClusteringManifest) -> bytes:
        (entry,) = (entry for entry in manifest.files if entry.path == ROWS)
        return self.file(entry, manifest.name, manifest.version)

    def save(self, manifest: ClusteringManifest, rows: bytes) -> ClusteringManifest:
        """Rows first, manifest last. A version that exists already is returned as it is."""
        with self.changing(manifest.name, manifest.version):
            self._store.put(layout.clustering(manifest.name, manifest.version, ROWS), rows)
            return self.create(manifest, manifest.name, manifest.version)

    def remove_all(self, run_log_id: str) -> int:
        """Remove what there is of a run log that was removed; how many objects."""
        keys = [info.key for info in self._store.list(f"{layout.CLUSTERINGS}{run_log_id}/")]
        for key in keys:
            self._kept.pop(key, None)
            self._store.delete(key)
        return len(keys)
