"""What the worker's machine can do. Imports torch inside: called by worker.py alone."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Literal

from burnish.errors import PreconditionError
from burnish_trainer.backends import Device, DType

CPU_FLAGS = Path("/proc/cpuinfo")
STATUS = Path("/proc/self/status")
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


def peak_memory_bytes(on: Device) -> int:
    """The most that the device's allocator (CUDA) or this process (CPU) has held so far."""
    import torch

    if on == "cuda":
        return torch.cuda.max_memory_reserved()
    for line in STATUS.read_text().splitlines() if STATUS.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # the forking process's too, on Linux


def describe(on: Device) -> str:
    import torch

    return torch.cuda.get_device_name(0) if on == "cuda" else f"{torch.get_num_threads()} CPU threads"
