"""Reads names, types and shapes from a safetensors file, and how large its tensors are, without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

# dtype -> how numpy reads it; numpy has no bfloat16, which is the upper half of a float32
NUMPY_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class Tensor:
    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, Tensor]:
    """Tensors by name, in the order of their data. ValueError if the file is truncated, has data that no tensor claims, or is not safetensors."""
    try:
        with safe_open(path, framework="np") as file:
            entries = {name: file.get_slice(name) for name in file.offset_keys()}
            return {name: Tensor(entry.get_dtype(), tuple(entry.get_shape())) for name, entry in entries.items()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path.name} is not a whole safetensors file: {error}") from error


def norms(path: Path, tensors: dict[str, Tensor]) -> dict[str, float]:
    """Frobenius norm of each tensor; NaN or infinite exactly if one of its values is. tensors: as `read_header` gave them, every
    dtype a key of NUMPY_TYPES.

    The bytes follow the header without gaps, which `read_header` checked. Squares of float32 do not overflow a float64.
    """
    with path.open("rb") as handle:
        end = 8 + int.from_bytes(handle.read(8), "little")
    data = np.memmap(path, dtype=np.uint8, mode="r")
    found = {}
    for name, tensor in tensors.items():
        kind = np.dtype(NUMPY_TYPES[tensor.dtype])
        start, end = end, end + math.prod(tensor.shape) * kind.itemsize
        values = data[start:end].view(kind)
        if tensor.dtype == "BF16":
            values = (values.astype("<u4") << 16).view("<f4")
        found[name] = float(np.linalg.norm(values.astype(np.float64)))
    return found
