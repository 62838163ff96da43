"""Adapter versions in the object store: read back to be continued, and published once a job has trained one.

The manifest is written last and makes the version exist. No torch here; weights are moved as files.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from burnish.digests import canonical_json, file_sha256, sha256_hex, version_of
from burnish.errors import AlreadyExistsError, CorruptDataError
from burnish.layout import MANIFEST
from burnish.layout import adapter as adapter_key
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import FileEntry
from burnish_trainer.spec import VersionRef

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
CARD = "README.md"


def read_manifest(store: ObjectStore, ref: VersionRef) -> AdapterManifest:
    """NotFoundError where the version does not exist, CorruptDataError where its manifest cannot be read."""
    key = adapter_key(ref.name, ref.version)
    try:
        return AdapterManifest.model_validate_json(store.get(key))
    except ValidationError as error:
        raise CorruptDataError(f"{key} is no adapter manifest: {error.errors()[0]['msg']}", key=key) from error


def fetch(store: ObjectStore, ref: VersionRef, folder: Path) -> Path:
    """Config and weights of a version as files in the folder, checked against their digests."""
    manifest = read_manifest(store, ref)
    folder.mkdir(parents=True, exist_ok=True)
    for entry in manifest.files:
        if entry.path not in (CONFIG, WEIGHTS):
            continue
        key = adapter_key(ref.name, ref.version, entry.path)
        store.get_file(key, folder / entry.path)
        if file_sha256(folder / entry.path) != entry.sha256:
            raise CorruptDataError(f"{key} does not have the digest that its manifest states", key=key)
    return folder


def normalised_config(raw: bytes, base_model: str) -> bytes:
    """An adapter_config.json that says the same on every machine: the base by name, no local path, sets in order."""
    config = json.loads(raw)
    config["base_model_name_or_path"] = base_model
    config["inference_mode"] = True
    if isinstance(config.get("target_modules"), list):
        config["target_modules"] = sorted(config["target_modules"])
    return json.dumps(config, indent=2, sort_keys=True).encode() + b"\n"


def version_of_files(config: bytes, weights: Path) -> str:
    return version_of(config, weights.read_bytes())


def publish(store: ObjectStore, manifest: AdapterManifest, config: bytes, weights: Path, card: str) -> bool:
    """Write the version's files, then its manifest. False where the version stood there already, by another job's manifest."""

    def key(file: str) -> str:
        return adapter_key(manifest.name, manifest.version, file)

    files = {CONFIG: config, CARD: card.encode()}
    entries = [FileEntry(path=path, size_bytes=len(data), sha256=sha256_hex(data)) for path, data in files.items()]
    entries.append(FileEntry(path=WEIGHTS, size_bytes=weights.stat().st_size, sha256=file_sha256(weights)))
    whole = manifest.model_copy(update={"files": sorted(entries, key=lambda entry: entry.path)})
    if _exists(store, key(MANIFEST)):
        return False
    store.put_file(key(WEIGHTS), weights)
    for path, data in files.items():
        store.put(key(path), data)
    try:
        store.put_if_absent(key(MANIFEST), canonical_json(whole.model_dump(mode="json")))
    except AlreadyExistsError:
        return False
    return True


def _exists(store: ObjectStore, key: str) -> bool:
    return any(info.key == key for info in store.list(key))
