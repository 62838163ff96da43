"""What the worker's machine can do. Imports torch inside: called by worker.py alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from burnish.errors import PreconditionError
from burnish_trainer.backends import Device, DType

CPU_FLAGS = Path("/proc/cpuinfo")
BF16_FLAG = "avx512_bf16"


def device(asked: Literal["auto", "cpu", "cuda"]) -> Device:
    """PreconditionError where CUDA is asked for and torch sees none."""
    import torch

    present = torch.cuda.is_available()
    if asked == "cuda" and not present:
        raise PreconditionError("BURNISH_TRAINER_DEVICE is cuda and torch sees no CUDA device: set it to auto or cpu")
    return "cuda" if present and asked != "cpu" else "cpu"


def dtype(on: Device) -> DType:
    """bf16 where the hardware multiplies it natively; a CPU that emulates it is slower than in fp32."""
    import torch

    if on == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    flags = CPU_FLAGS.read_text().split() if CPU_FLAGS.is_file() else []
    return "bfloat16" if BF16_FLAG in flags else "float32"


def describe(on: Device) -> str:
    import torch

    return torch.cuda.get_device_name(0) if on == "cuda" else f"{torch.get_num_threads()} CPU threads"
