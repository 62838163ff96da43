"""Adapter versions in the object store: read back to be continued, and published once a job has trained one.

The manifest is written last and makes the version exist. No torch here; weights are moved as files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from burnish.digests import canonical_json, file_sha256, sha256_hex, version_of
from burnish.errors import AlreadyExistsError, CorruptDataError, NotFoundError, validation_problems
from burnish.layout import adapter as adapter_key
from burnish.layout import dataset as dataset_key
from burnish.machine import disk
from burnish.objectstores.verified import fetch_verified, require_version
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest, TrainedBy, TrainingSummary
from burnish.schemas.base import BaseModelRef, FileEntry, Frozen, Parent, VersionRef
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement
from burnish_trainer.artifacts import MORE_ROOM
from burnish_trainer.artifacts.model_card import model_card

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
CARD = "README.md"


class RunRecord(Frozen):
    """What a run is made with, beside its spec: all that an adapter's manifest must say and only the worker knows.

    backend_why: the sentence by which the backend was chosen. base_licence: of the base model, if its record names one.
    """

    adapter_name: str
    base_model: BaseModelRef
    backend: TrainedBy
    backend_why: str = ""
    base_licence: str | None = None
    device: str
    dtype: str
    packages: dict[str, str]


@dataclass(frozen=True)
class Description:
    """An adapter's manifest but for its files and version. checkpoint_step: None for the job's own result."""

    job_id: str
    spec: JobSpec
    run: RunRecord
    training: TrainingSummary
    findings: list[Finding]
    estimate: RunEstimate | None = None
    measured: RunMeasurement | None = None
    checkpoint_step: int | None = None

    def manifest(self, version: str) -> AdapterManifest:
        spec = self.spec
        return AdapterManifest(
            name=spec.adapter_name,
            version=version,
            base_model=self.run.base_model,
            job_id=self.job_id,
            method=spec.method,
            backend=self.run.backend,
            quantization=spec.quantization,
            rank=spec.lora.rank,
            alpha=spec.lora.alpha,
            target_modules=list(spec.lora.target_modules),
            use_rslora=spec.lora.use_rslora,
            use_dora=spec.lora.use_dora,
            seed=spec.seed,
            params=spec.model_dump(mode="json") | self.run.model_dump(include={"device", "dtype", "backend_why"}),
            training=self.training,
            checkpoint_step=self.checkpoint_step,
            findings=self.findings,
            estimate=self.estimate and self.estimate.model_copy(update={"smaller": ()}),
            measured=self.measured,
            packages=self.run.packages,
            parents=self._parents(),
        )

    def _parents(self) -> list[Parent]:
        spec, base = self.spec, self.run.base_model
        parents = [
            Parent(kind="dataset", name=spec.dataset.name, digest=spec.dataset.version),
            Parent(kind="base_model", name=base.name, digest=base.digest),
            Parent(kind="job", name=self.job_id, digest=self.job_id),
        ]
        if initial := spec.params.get("initial_adapter"):
            parents.append(Parent(kind="adapter", name=initial["name"], digest=initial["version"]))
        return parents


def read_manifest(store: ObjectStore, ref: VersionRef) -> AdapterManifest:
    """NotFoundError if the version does not exist, CorruptDataError if its manifest cannot be read."""
    key = adapter_key(ref.name, ref.version)
    try:
        return AdapterManifest.model_validate_json(store.get(key))
    except ValidationError as error:
        raise CorruptDataError(f"{key} is no adapter manifest: {validation_problems(error)}", key=key) from error


def fetch(store: ObjectStore, ref: VersionRef, folder: Path) -> Path:
    """Config and weights of a version as files in the folder, checked against their digests and the version.

    NotFoundError if it was deleted after the job that goes on from it was accepted.
    """
    try:
        entries = [entry for entry in read_manifest(store, ref).files if entry.path in (CONFIG, WEIGHTS)]
        size_bytes = sum(entry.size_bytes for entry in entries)
        with disk.needing(size_bytes, folder, f"fetch adapter {ref.name}@{ref.version}", MORE_ROOM):
            for entry in entries:
                fetch_verified(store, adapter_key(ref.name, ref.version, entry.path), entry, folder / entry.path)
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no adapter {ref.name}@{ref.version}: if it was deleted after the job was accepted, train again from another "
            "initial_adapter, or without one",
            field="initial_adapter",
        ) from error
    found = version_of(*((folder / file).read_bytes() for file in (CONFIG, WEIGHTS)))
    require_version(f"adapter {ref.name}@{ref.version}", ref.version, found)
    return folder


def normalised_config(raw: bytes, base_model: str) -> bytes:
    """An adapter_config.json that says the same on every machine: the base by name, no local path, sets in order."""
    config = json.loads(raw)
    config["base_model_name_or_path"] = base_model
    config["inference_mode"] = True
    if isinstance(config.get("target_modules"), list):
        config["target_modules"] = sorted(config["target_modules"])
    return json.dumps(config, indent=2, sort_keys=True).encode() + b"\n"


def version_of_folder(folder: Path, base_model: str) -> str:
    """The version that the adapter in a folder is once published."""
    config = normalised_config((folder / CONFIG).read_bytes(), base_model)
    return version_of(config, (folder / WEIGHTS).read_bytes())


def publish_folder(store: ObjectStore, folder: Path, description: Description) -> tuple[VersionRef, bool]:
    """Make a folder's adapter a version, with its model card: its files, then its manifest.

    (version, False) if it exists already, since the same files were published before.
    """
    base_model = description.run.base_model.name
    manifest = description.manifest(version_of_folder(folder, base_model))
    version = VersionRef(name=manifest.name, version=manifest.version)
    if exists(store, version):
        return version, False
    card = model_card(manifest, _dataset(store, description.spec.dataset), description.run.base_licence)
    files = {CONFIG: normalised_config((folder / CONFIG).read_bytes(), base_model), CARD: card.encode()}
    weights = folder / WEIGHTS
    entries = [FileEntry(path=path, size_bytes=len(data), sha256=sha256_hex(data)) for path, data in files.items()]
    entries.append(FileEntry(path=WEIGHTS, size_bytes=weights.stat().st_size, sha256=file_sha256(weights)))
    whole = manifest.model_copy(update={"files": sorted(entries, key=lambda entry: entry.path)})
    store.put_file(adapter_key(version.name, version.version, WEIGHTS), weights)
    for path, data in files.items():
        store.put(adapter_key(version.name, version.version, path), data)
    try:
        store.put_if_absent(adapter_key(version.name, version.version), canonical_json(whole.model_dump(mode="json")))
    except AlreadyExistsError:
        return version, False
    return version, True


def _dataset(store: ObjectStore, ref: VersionRef) -> DatasetManifest | None:
    """Of the rows; None if it is gone, since a checkpoint may be published long after its run."""
    try:
        return DatasetManifest.model_validate_json(store.get(dataset_key(ref.name, ref.version)))
    except NotFoundError:
        return None


def exists(store: ObjectStore, ref: VersionRef) -> bool:
    """Whether the version's manifest exists, and with it the version."""
    key = adapter_key(ref.name, ref.version)
    return any(info.key == key for info in store.list(key))
