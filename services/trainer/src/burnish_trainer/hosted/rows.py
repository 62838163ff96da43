"""What is sent to a provider: the request that a job's spec becomes, and its rows as files in the provider's form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from burnish.curation.output.exports import export, parse_rows
from burnish.digests import file_sha256
from burnish.errors import CorruptDataError
from burnish.layout import dataset as dataset_key
from burnish.objectstores.verified import get_verified
from burnish.ports import ObjectStore
from burnish.schemas.base import FileEntry
from burnish.schemas.training.hosted import PROVIDERS, HostedSpec
from burnish.schemas.training.job import JobSpec
from burnish_trainer.data.rows import TRAIN, VALIDATION, read_manifest
from burnish_trainer.hosted.provider import Provider
from burnish_trainer.hosted.record import Record, Request, Split

FILES: dict[Split, str] = {"train": TRAIN, "validation": VALIDATION}
SUFFIX_CHARACTERS = 18  # Azure's limit is the lowest


class RowFiles:
    """The rows of a job as files under a folder, made when they are first asked for."""

    def __init__(self, store: ObjectStore, spec: JobSpec, hosted: HostedSpec, folder: Path) -> None:
        self._store = store
        self._spec = spec
        self._form = PROVIDERS[hosted.provider].methods[spec.method]
        self._folder = folder

    def request(self, provider: Provider) -> Request:
        hosted = self._spec.hosted
        assert hosted is not None
        return Request(
            model=hosted.model,
            method=self._spec.method,
            hyperparameters=dict(provider.prepare(self._spec)),
            seed=self._spec.seed,
            suffix=self._spec.adapter_name[:SUFFIX_CHARACTERS].rstrip("._-"),
            files={
                split: FileEntry(path=path.name, size_bytes=path.stat().st_size, sha256=file_sha256(path))
                for split, path in self._written().items()
            },
        )

    def of(self, record: Record) -> dict[Split, Path]:
        """CorruptDataError unless they are, to the byte, those that the record was begun with."""
        files = self._written()
        for split, entry in record.request.files.items():
            if file_sha256(files[split]) != entry.sha256:
                raise CorruptDataError(
                    f"{record.job_id}: its {split} rows are not those that were recorded before they were sent; cancel the job "
                    "and train again"
                )
        return files

    def _written(self) -> dict[Split, Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        found: dict[Split, Path] = {}
        for split in FILES:
            path = self._folder / f"{split}.jsonl"
            with path.open("wb") as file:
                file.writelines(self._lines(split))
            if path.stat().st_size:
                found[split] = path
        return found

    def _lines(self, split: Split) -> Iterator[bytes]:
        ref = self._spec.dataset
        manifest = read_manifest(self._store, ref)
        for entry in manifest.files:
            if entry.path == FILES[split]:
                data = get_verified(self._store, dataset_key(ref.name, ref.version, entry.path), entry)
                yield from export(parse_rows(data, manifest.spec.format), self._form)
