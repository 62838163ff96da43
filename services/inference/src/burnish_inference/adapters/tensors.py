"""Reads names, types and shapes from a safetensors file, and looks for NaN and infinity, without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

# dtype -> (integer of its width, its exponent bits: all of them set means NaN or infinity)
EXPONENT = {"F32": ("<u4", 0x7F80_0000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}


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


def first_non_finite(path: Path, tensors: dict[str, Tensor]) -> str | None:
    """Name of the first tensor with a NaN or an infinity, or None. tensors: as `read_header` gave them, every dtype a key of EXPONENT.

    numpy has no bfloat16, so the bytes are looked at as integers. They follow the header without gaps, which `read_header` checked.
    """
    with path.open("rb") as handle:
        end = 8 + int.from_bytes(handle.read(8), "little")
    data = np.memmap(path, dtype=np.uint8, mode="r")
    for name, tensor in tensors.items():
        words_type, exponent = EXPONENT[tensor.dtype]
        start, end = end, end + math.prod(tensor.shape) * np.dtype(words_type).itemsize
        words = data[start:end].view(words_type)
        if bool(np.any((words & exponent) == exponent)):
            return name
    return None
