"""Does an adapter fit the base that is served? Everything vLLM 0.32 loads with 200 and answers nonsense from, or dies of.

All functions raise IncompatibleAdapterError, which says what is wrong and where. Must not import torch or vllm.
"""

from __future__ import annotations

import math
import re
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from burnish.adapters.base import BaseModel
from burnish.adapters.tensors import NUMPY_TYPES, Tensor, norms, read_header
from burnish.errors import IncompatibleAdapterError
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import FileEntry

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ALLOWED_SUFFIXES = frozenset({".json", ".safetensors", ".md", ".txt", ".jinja"})
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
OTHER_FILES_BYTES = 64 * 1024 * 1024
TENSOR_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
# Of scale B A, by Frobenius norm. Trained adapters have 1 to 500; three layers in a row of this size still fit into bfloat16.
LARGEST_CHANGE = 10_000.0
# PEFT features that change what the weights mean and that vLLM ignores or refuses with a 500.
REFUSED_FEATURES = (
    "use_dora",
    "lora_bias",
    "fan_in_fan_out",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "layer_replication",
    "use_qalora",
    "use_bdlora",
)


def check_manifest(manifest: AdapterManifest, base: BaseModel, max_rank: int) -> None:
    """What can be refused before anything is downloaded: another base, rank, file kinds, names, sizes."""
    label = _label(manifest)
    if manifest.base_model.digest != base.record.digest:
        raise IncompatibleAdapterError(
            f"{label} was trained on {manifest.base_model.name} ({manifest.base_model.digest}), and "
            f"{base.record.name} ({base.record.digest}) is served: train it again on this base"
        )
    if manifest.rank > max_rank:
        raise _too_high(label, manifest.rank, max_rank)
    names = [entry.path for entry in manifest.files]
    for entry in manifest.files:
        _check_file(label, entry)
    if len(set(names)) != len(names) or not {CONFIG, WEIGHTS} <= set(names):
        raise _refused(label, f"its manifest must list {CONFIG} and {WEIGHTS}, each file once; it lists {names}")
    total = sum(entry.size_bytes for entry in manifest.files)
    limit = base.largest_adapter_bytes(max_rank) + OTHER_FILES_BYTES
    if total > limit:
        raise IncompatibleAdapterError(
            f"{label} has {total} bytes; a LoRA of rank {max_rank} on this base has at most {limit}"
        )


def _check_file(label: str, entry: FileEntry) -> None:
    if not FILE_NAME.fullmatch(entry.path):
        raise _refused(label, f"file name {entry.path!r} is no plain name inside its folder")
    if PurePosixPath(entry.path).suffix not in ALLOWED_SUFFIXES or (
        entry.path.endswith(".safetensors") and entry.path != WEIGHTS
    ):
        raise _refused(
            label,
            f"{entry.path} is not served; weights come as {WEIGHTS} alone (pickles can run code when they are read)",
        )


def check_folder(folder: Path, manifest: AdapterManifest, base: BaseModel, max_rank: int) -> None:
    """The downloaded files: configuration, tensor names and shapes against the base, dtypes, sizes. Blocks; reads all weights once."""
    label = _label(manifest)
    rank, scale = _check_config(label, folder / CONFIG, base, max_rank)
    try:
        tensors = read_header(folder / WEIGHTS)
    except ValueError as error:
        raise _refused(label, str(error)) from error
    _check_tensors(label, tensors, base, rank)
    _check_sizes(label, norms(folder / WEIGHTS, tensors), scale)


def _check_config(label: str, path: Path, base: BaseModel, max_rank: int) -> tuple[int, float]:
    """Returns the rank, and the scale by which vLLM multiplies B A."""
    try:
        config: Any = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise _refused(label, f"{CONFIG} is not JSON: {error}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise _refused(label, f"{CONFIG} must be an object with peft_type LORA; only LoRA is served")
    refused = [name for name in REFUSED_FEATURES if config.get(name)]
    if refused:
        raise _refused(label, f"{CONFIG} has {', '.join(refused)} set, which is not served: train a plain LoRA")
    if config.get("bias", "none") != "none":
        raise _refused(label, f"{CONFIG} has bias {config['bias']!r}; only 'none' is served")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or rank < 1:
        raise _refused(label, f"r in {CONFIG} must be a whole number from 1; it is {rank!r}")
    if rank > max_rank:
        raise _too_high(label, rank, max_rank)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha) or alpha <= 0:
        raise _refused(label, f"lora_alpha in {CONFIG} must be a positive number; it is {alpha!r}")
    targets = config.get("target_modules")  # may also be a pattern; the tensors' names are checked in any case
    named = {str(name).rpartition(".")[2] for name in targets} if isinstance(targets, list) else set()
    if unknown := sorted(named - base.target_modules):
        raise _refused(
            label,
            f"target_modules {', '.join(unknown)} in {CONFIG} are no linear layers of the base; it has {', '.join(sorted(base.target_modules))}",
        )
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _check_sizes(label: str, sizes: dict[str, float], scale: float) -> None:
    """sizes: the norm of each tensor. The change of a layer, scale B A, has at most the product of its factors' norms."""
    for name, size in sizes.items():
        if not math.isfinite(size):
            raise _refused(label, f"tensor {name} has NaN or infinite values: the training diverged, train it again")
    for name, size in sizes.items():
        match = TENSOR_NAME.fullmatch(name)
        if match is None or match["side"] == "B":
            continue
        change = scale * size * sizes[name.replace(".lora_A.", ".lora_B.")]
        if change > LARGEST_CHANGE:
            raise _refused(
                label,
                f"{match['module']} would change by a matrix of norm up to {change:.3g} (its lora_A has {size:.3g}, the scale of "
                f"lora_alpha is {scale:.3g}); up to {LARGEST_CHANGE:,.0f} is served, since more overflows and then every model "
                "answers nonsense: the training diverged or lora_alpha is wrong, train it again",
            )


def _check_tensors(label: str, tensors: dict[str, Tensor], base: BaseModel, rank: int) -> None:
    sides: dict[str, set[str]] = {}
    for name, tensor in tensors.items():
        match = TENSOR_NAME.fullmatch(name)
        shape = base.linears.get(match["module"]) if match else None
        if match is None or shape is None:
            raise _refused(label, f"tensor {name} belongs to no linear layer of the base")
        expected = (rank, shape[1]) if match["side"] == "A" else (shape[0], rank)
        if tensor.shape != expected:
            raise _refused(label, f"tensor {name} has shape {tensor.shape}; this base and rank {rank} need {expected}")
        if tensor.dtype not in NUMPY_TYPES:
            raise _refused(label, f"tensor {name} has dtype {tensor.dtype}; {', '.join(NUMPY_TYPES)} are served")
        sides.setdefault(match["module"], set()).add(match["side"])
    if not sides:
        raise _refused(label, f"{WEIGHTS} has no tensors")
    for module, present in sides.items():
        if present != {"A", "B"}:
            raise _refused(label, f"{module} has lora_{present.pop()} without its other half")


def _refused(label: str, fault: str) -> IncompatibleAdapterError:
    return IncompatibleAdapterError(f"{label}: {fault}")


def _label(manifest: AdapterManifest) -> str:
    return f"adapter {manifest.name}@{manifest.version}"


def _too_high(label: str, rank: int, max_rank: int) -> IncompatibleAdapterError:
    return IncompatibleAdapterError(
        f"{label} has rank {rank} and this server takes up to {max_rank}: train with a lower rank, or raise BURNISH_INFERENCE_MAX_LORA_RANK"
    )
