"""Whether a job's reference pass has been made by an earlier job, so that it costs nothing."""

from __future__ import annotations

from pydantic import ValidationError

from burnish.digests import sha256_hex
from burnish.layout import MANIFEST
from burnish.ports import ObjectStore
from burnish.schemas.job import JobSpec
from burnish_trainer.preflight.base import Base
from burnish_trainer.worker.loop.reference_log_probabilities import FOLDER, ReferenceManifest


def is_kept(spec: JobSpec, base: Base, store: ObjectStore) -> bool:
    """For DPO by what the manifests say. False for KTO, whose sequences depend on the order too: its pass may turn out free."""
    if spec.method != "dpo":
        return False
    keys = [info.key for info in store.list(f"{FOLDER}/") if info.key.endswith(f"/{MANIFEST}")]
    return any(_is_of(store.get(key), spec, base) for key in keys)


def _is_of(data: bytes, spec: JobSpec, base: Base) -> bool:
    try:
        manifest = ReferenceManifest.model_validate_json(data)
    except ValidationError:
        return False  # the worker tells of it when it comes to read it
    inputs, initial = manifest.inputs, spec.params.get("initial_adapter")
    asked = (base.ref.digest, initial["version"] if initial else None, spec.quantization)
    return (
        (inputs.base_model, inputs.adapter, inputs.quantization) == asked
        and inputs.chat_template == sha256_hex(str(base.tokenizer.chat_template).encode())
        and any(parent.kind == "dataset" and parent.digest == spec.dataset.version for parent in manifest.parents)
    )
