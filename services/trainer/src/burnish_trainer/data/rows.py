"""The training rows of a dataset version, read from the object store and checked against their digests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from burnish.digests import sha256_hex
from burnish.errors import CorruptDataError
from burnish.layout import dataset as dataset_key
from burnish.ports import ObjectStore
from burnish.schemas.base import VersionRef
from burnish.schemas.dataset import DatasetManifest, DpoRow, KtoRow, SftRow

Row = TypeVar("Row", SftRow, DpoRow, KtoRow)
TRAIN = "train.jsonl"
VALIDATION = "validation.jsonl"


@dataclass(frozen=True)
class Rows(Generic[Row]):
    """train is never empty; validation may be."""

    train: list[Row]
    validation: list[Row]


def read_manifest(store: ObjectStore, ref: VersionRef) -> DatasetManifest:
    """NotFoundError where the version does not exist, CorruptDataError where its manifest cannot be read."""
    key = dataset_key(ref.name, ref.version)
    try:
        return DatasetManifest.model_validate_json(store.get(key))
    except ValidationError as error:
        raise CorruptDataError(f"{key} is no dataset manifest: {error.errors()[0]['msg']}", key=key) from error


def read_rows(store: ObjectStore, ref: VersionRef, kind: type[Row]) -> Rows[Row]:
    """All rows of a version. CorruptDataError names the file and line that is not what the manifest says."""
    manifest = read_manifest(store, ref)
    train = _read_file(store, ref, manifest, TRAIN, kind)
    validation = _read_file(store, ref, manifest, VALIDATION, kind)
    for split, read, stated in (
        ("train", len(train), manifest.counts.train),
        ("validation", len(validation), manifest.counts.validation),
    ):
        if read != stated:
            raise CorruptDataError(f"dataset {ref.name}/{ref.version}: {stated} {split} rows stated, {read} found")
    return Rows(train, validation)


def read_lines(store: ObjectStore, ref: VersionRef, manifest: DatasetManifest, file: str) -> list[bytes]:
    """The lines of TRAIN or VALIDATION, none where the version has no such file. CorruptDataError where the digest differs."""
    entry = next((entry for entry in manifest.files if entry.path == file), None)
    if entry is None:
        return []
    key = dataset_key(ref.name, ref.version, file)
    data = store.get(key)
    if sha256_hex(data) != entry.sha256:
        raise CorruptDataError(f"{key} does not have the digest that its manifest states", key=key)
    return data.splitlines()


def _read_file(store: ObjectStore, ref: VersionRef, manifest: DatasetManifest, file: str, kind: type[Row]) -> list[Row]:
    rows = []
    key = dataset_key(ref.name, ref.version, file)
    for number, line in enumerate(read_lines(store, ref, manifest, file), start=1):
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise CorruptDataError(f"{key} line {number}: {error.errors()[0]['msg']}", key=key, line=number) from error
    return rows
