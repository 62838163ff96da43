"""Makes small base models and LoRA adapters as files, and publishes them as the trainer does: files first, manifest last."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from safetensors.numpy import save, save_file

from burnish import layout
from burnish.digests import model_digest, version_of
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest, TrainingSummary
from burnish.schemas.base import BaseModelRef, FileEntry
from burnish.schemas.models import BaseModelRecord

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
HIDDEN, KEY_VALUE, INNER, LAYERS = 16, 8, 32, 2
LAYER = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (KEY_VALUE, HIDDEN),
    "self_attn.v_proj": (KEY_VALUE, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
Arrays = dict[str, np.ndarray[Any, Any]]


def make_base(folder: Path) -> BaseModelRecord:
    """A Llama-shaped folder of two small layers, with its record. Its weights are zeros: only names and shapes matter."""
    folder.mkdir(parents=True)
    tensors: Arrays = {"model.embed_tokens.weight": np.zeros((64, HIDDEN), np.float32)}
    for layer in range(LAYERS):
        for module, shape in LAYER.items():
            tensors[f"model.layers.{layer}.{module}.weight"] = np.zeros(shape, np.float32)
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = np.ones(HIDDEN, np.float32)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    record = BaseModelRecord(name="tiny", digest=model_digest(folder), source="test", licence="Apache-2.0")
    (folder / "burnish-model.json").write_text(record.model_dump_json())
    return record


def lora_arrays(rank: int = 4, layers: int = LAYERS, hidden: int = HIDDEN, seed: int = 0) -> Arrays:
    """A and B for every linear layer of `make_base`; other `layers` or `hidden` make an adapter of another base."""
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    for layer in range(layers):
        for module, (out, inp) in LAYER.items():
            path = f"base_model.model.model.layers.{layer}.{module}"
            out, inp = (hidden if size == HIDDEN else size for size in (out, inp))
            arrays[f"{path}.lora_A.weight"] = random.normal(size=(rank, inp)).astype(np.float32)
            arrays[f"{path}.lora_B.weight"] = random.normal(size=(out, rank)).astype(np.float32)
    return arrays


def arrays_for(linears: Mapping[str, tuple[int, int]], rank: int = 4, seed: int = 0) -> Arrays:
    """A and B for layers of any base, by their (output, input) features; B is zero, so that it changes nothing."""
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    for module, (out, inp) in linears.items():
        arrays[f"base_model.model.{module}.lora_A.weight"] = random.normal(size=(rank, inp)).astype(np.float32)
        arrays[f"base_model.model.{module}.lora_B.weight"] = np.zeros((out, rank), np.float32)
    return arrays


def lora_config(rank: int = 4, **changes: Any) -> dict[str, Any]:
    """adapter_config.json as PEFT writes it, as far as it matters."""
    targets = [module.rpartition(".")[2] for module in LAYER]
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "bias": "none",
        "use_dora": False,
        "modules_to_save": None,
        "target_modules": targets,
    } | changes


def adapter_files(rank: int = 4, arrays: Arrays | None = None, **config_changes: Any) -> dict[str, bytes]:
    arrays = lora_arrays(rank) if arrays is None else arrays
    return {CONFIG: orjson.dumps(lora_config(rank, **config_changes)), WEIGHTS: save(arrays)}


def make_manifest(
    name: str, files: Mapping[str, bytes], base: BaseModelRecord, rank: int, **changes: Any
) -> AdapterManifest:
    facts: dict[str, Any] = {
        "name": name,
        "version": version_of(files.get(CONFIG, b""), files.get(WEIGHTS, b"")),
        "created_at": datetime.now(UTC),
        "files": [
            FileEntry(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            for path, data in files.items()
        ],
        "base_model": BaseModelRef(name=base.name, digest=base.digest),
        "job_id": "job-1",
        "method": "sft",
        "backend": "peft",
        "quantization": "none",
        "rank": rank,
        "alpha": rank,
        "target_modules": sorted(module.rpartition(".")[2] for module in LAYER),
        "seed": 0,
        "params": {},
        "training": TrainingSummary(
            steps=1,
            best_step=1,
            first_train_loss=1.0,
            final_train_loss=1.0,
            best_validation_loss=None,
            trained_tokens=1,
            duration_seconds=1.0,
            peak_memory_bytes=None,
            stopped_early=False,
        ),
        "packages": {},
    }
    return AdapterManifest(**facts | changes)


def publish(store: ObjectStore, manifest: AdapterManifest, files: Mapping[str, bytes]) -> AdapterManifest:
    """Write the files, then the manifest that makes the version exist."""
    for path, data in files.items():
        store.put(layout.adapter(manifest.name, manifest.version, path), data)
    store.put_if_absent(layout.adapter(manifest.name, manifest.version), manifest.model_dump_json().encode())
    return manifest
