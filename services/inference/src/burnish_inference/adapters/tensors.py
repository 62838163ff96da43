"""Reads the header of a safetensors file, and looks for NaN and infinity, without torch.

Source: the format of huggingface/safetensors (README, "Format"): 8 bytes little-endian header length, JSON, then data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

LARGEST_HEADER_BYTES = 100_000_000  # the format's own limit
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
# dtype -> (integer of its width, its exponent bits: all of them set means NaN or infinity)
EXPONENT = {"F32": ("<u4", 0x7F80_0000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}


@dataclass(frozen=True)
class Tensor:
    """An entry of the header. start, end: byte offsets in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> dict[str, Tensor]:
    """Tensors by name. ValueError where the file is truncated, has data no tensor claims, or is no safetensors file at all."""
    file_bytes = path.stat().st_size
    with path.open("rb") as handle:
        prefix = handle.read(8)
        header_bytes = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or header_bytes > min(LARGEST_HEADER_BYTES, file_bytes - 8):
            raise ValueError(f"{path.name} is truncated or not a safetensors file")
        try:
            header = orjson.loads(handle.read(header_bytes))
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the header of {path.name} is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise ValueError(f"the header of {path.name} is not a JSON object")
    header.pop("__metadata__", None)
    data_start = 8 + header_bytes
    tensors = {name: _tensor(path.name, name, entry, data_start) for name, entry in header.items()}
    end = data_start
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].start):
        if tensor.start != end:
            raise ValueError(f"{path.name}: the bytes of {name} overlap others or leave a gap")
        end = tensor.end
    if end != file_bytes:
        raise ValueError(f"{path.name} has {file_bytes} bytes where its header describes {end}")
    return tensors


def _tensor(file_name: str, name: str, entry: Any, data_start: int) -> Tensor:
    try:
        dtype, shape, (start, end) = str(entry["dtype"]), tuple(entry["shape"]), entry["data_offsets"]
        good = all(type(size) is int and size >= 0 for size in (*shape, start, end))
        if good and end - start == math.prod(shape) * ITEM_BYTES[dtype]:
            return Tensor(dtype, shape, data_start + start, data_start + end)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file_name}: the header entry of {name} is malformed or of an unknown dtype") from error
    raise ValueError(f"{file_name}: shape, dtype and size of {name} disagree")


def first_non_finite(path: Path, tensors: dict[str, Tensor]) -> str | None:
    """Name of the first tensor with a NaN or an infinity, or None. Every dtype must be a key of EXPONENT."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    for name, tensor in tensors.items():
        words_type, exponent = EXPONENT[tensor.dtype]
        words = data[tensor.start : tensor.end].view(words_type)
        if bool(np.any((words & exponent) == exponent)):
            return name
    return None
