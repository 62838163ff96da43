"""Dataset versions in the object store."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from burnish import layout
from burnish.curation.output.exports import export, parse_rows
from burnish.curation.output.folder import folder_files, zipped
from burnish.curation.output.sealing import CARD, LEFT_OUT, TRAIN, VALIDATION, BuiltDataset
from burnish.digests import dataset_version
from burnish.errors import NotFoundError
from burnish.objectstores.verified import require_version
from burnish.ports import ObjectStore
from burnish.schemas.dataset import DatasetManifest, ExportForm
from burnish_curator.manifests import Versions


class DatasetRepository(Versions[DatasetManifest]):
    def __init__(self, store: ObjectStore, cache_dir: Path | None = None) -> None:
        hint = "`burnish dataset ls` lists them"
        super().__init__(store, DatasetManifest, layout.dataset, "dataset", hint, "datasets/", cache_dir)

    def save(self, built: BuiltDataset) -> DatasetManifest:
        """Files first, manifest last. A version that exists already is returned as it is."""
        name, version = built.manifest.name, built.manifest.version
        with self.changing(name, version):
            for file, data in built.files.items():
                self._store.put(layout.dataset(name, version, file), data)
            return self.create(built.manifest, name, version)

    def left_out(self, name: str, version: str) -> bytes:
        """JSONL of LeftOut. NotFoundError if the version was built before they were recorded."""
        manifest = self.find(name, version)
        entry = next((entry for entry in manifest.files if entry.path == LEFT_OUT), None)
        if entry is None:
            raise NotFoundError(
                f"dataset {name}@{manifest.version} was built before reasons were recorded by row: its manifest has their "
                "counts; build it again with `burnish dataset build` for the rows"
            )
        return self.file(entry, name, manifest.version)

    def export(self, name: str, version: str, form: ExportForm, split: Literal["train", "validation"]) -> bytes:
        """The rows of a split as JSONL in another tool's format."""
        manifest, splits = self._rows(name, version)
        return b"".join(export(parse_rows(splits[split], manifest.spec.format), form))

    def folder(self, name: str, version: str) -> bytes:
        """A zip of the folder that `datasets` and Croissant's readers open."""
        manifest, splits = self._rows(name, version)
        rows = {split: list(parse_rows(data, manifest.spec.format)) for split, data in splits.items()}
        entry = next(entry for entry in manifest.files if entry.path == CARD)
        card = self.file(entry, name, manifest.version).decode()
        return zipped(folder_files(manifest, card, rows))

    def _rows(self, name: str, version: str) -> tuple[DatasetManifest, dict[str, bytes]]:
        """The manifest, and both files of rows, which are what the version says."""
        manifest = self.find(name, version)
        files = {entry.path: entry for entry in manifest.files}
        train, validation = (self.file(files[file], name, manifest.version) for file in (TRAIN, VALIDATION))
        spec, split_written = (part.model_dump(exclude_unset=True) for part in (manifest.spec, manifest.split))
        found = dataset_version(train, validation, spec, split_written)
        require_version(f"dataset {name}@{manifest.version}", manifest.version, found)
        return manifest, {"train": train, "validation": validation}
