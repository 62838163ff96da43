"""What the worker's machine can do. Imports torch inside: called by workers, and by a process that measures it once."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from burnish.errors import PreconditionError
from burnish_trainer.preflight.machine import BF16_FLAG, Speed
from burnish_trainer.worker.backends import Device, DType

CPU_FLAGS = Path("/proc/cpuinfo")
STATUS = Path("/proc/self/status")
MATRIX_SIDE: dict[Device, int] = {"cpu": 1024, "cuda": 4096}
LINE_LENGTH: dict[Device, int] = {"cpu": 1 << 24, "cuda": 1 << 28}
MEASURED_SECONDS = 0.5


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


def measure_speed(on: Device, name: str) -> Speed:
    """Of a large square matrix product and of an elementwise sum, the best of half a second each."""
    import torch

    kind = dtype(on)
    side = MATRIX_SIDE[on]
    left, right = (torch.randn(side, side, device=on).to(getattr(torch, kind)) for _ in range(2))
    line = torch.zeros(LINE_LENGTH[on], device=on)
    product_seconds = _best_seconds(on, lambda: left @ right)
    sum_seconds = _best_seconds(on, lambda: line.add_(1.0))
    return Speed(
        name=name,
        dtype=kind,
        flops=2 * side**3 / product_seconds,
        bytes_per_second=2 * line.nbytes / sum_seconds,
    )


def _best_seconds(on: Device, work: Callable[[], object]) -> float:
    import torch

    wait: Callable[[], None] = torch.cuda.synchronize if on == "cuda" else lambda: None
    best, until = float("inf"), 0.0
    while True:
        began = time.perf_counter()
        work()
        wait()
        ended = time.perf_counter()
        if not until:  # the first call also sets things up
            until = ended + MEASURED_SECONDS
            continue
        best = min(best, ended - began)
        if ended > until:
            return best


def main() -> None:
    """`python -m burnish_trainer.worker.hardware <device> <name> <path>`: measure, and leave a Speed at the path."""
    on, name, path = sys.argv[1:4]
    partial = Path(path).with_suffix(".partial")
    partial.write_text(measure_speed("cuda" if on == "cuda" else "cpu", name).model_dump_json())
    partial.replace(path)


if __name__ == "__main__":
    main()
