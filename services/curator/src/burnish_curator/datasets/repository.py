"""Dataset versions in the object store."""

from __future__ import annotations

from burnish import layout
from burnish.curation.build import BuiltDataset
from burnish.errors import NotFoundError
from burnish.ports import ObjectStore
from burnish.schemas.dataset import DatasetManifest
from burnish_curator.manifests import Manifests, read_file

LATEST = "latest"


class DatasetRepository:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._manifests = Manifests(store, DatasetManifest)

    def save(self, built: BuiltDataset) -> DatasetManifest:
        """Files first, manifest last; a version that stands already is returned as it stands."""
        name, version = built.manifest.name, built.manifest.version
        for file, data in built.files.items():
            self._store.put(layout.dataset(name, version, file), data)
        return self._manifests.create(layout.dataset(name, version), built.manifest)

    def exists(self, name: str, version: str) -> DatasetManifest | None:
        try:
            return self.manifest(name, version)
        except NotFoundError:
            return None

    def manifests(self, name: str | None = None) -> list[DatasetManifest]:
        """Newest first; of one name or of all."""
        names = [name] if name is not None else list(self._store.list_folders("datasets/"))
        return self._manifests.read_all(
            layout.dataset(each, version) for each in names for version in self._store.list_folders(f"datasets/{each}/")
        )

    def manifest(self, name: str, version: str) -> DatasetManifest:
        """`latest` is the newest version. NotFoundError."""
        missing = f"no dataset {name}/{version}: `burnish dataset ls` lists them"
        if version != LATEST:
            return self._manifests.read(layout.dataset(name, version), lambda: missing)
        for manifest in self.manifests(name):
            return manifest
        raise NotFoundError(missing)

    def file(self, manifest: DatasetManifest, file: str) -> bytes:
        """A file of the version, checked against its digest."""
        entry = next(entry for entry in manifest.files if entry.path == file)
        return read_file(self._store, layout.dataset(manifest.name, manifest.version), entry)
