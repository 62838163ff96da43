"""A device as torch sees it: whether it is there, its precision, its memory, its speed.

Called by the worker; and run as a program once, to measure the speed for hardware/machine.py.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from burnish.errors import InternalError, PreconditionError
from burnish.files import write_atomically
from burnish_trainer.hardware.backends import Device, DType
from burnish_trainer.hardware.machine import Speed, cpu_dtype

STATUS = Path("/proc/self/status")
MATRIX_SIDE: dict[Device, int] = {"cpu": 1024, "cuda": 4096}
LINE_LENGTH: dict[Device, int] = {"cpu": 1 << 24, "cuda": 1 << 28}
MEASURED_SECONDS = 0.5


def present(asked: Literal["auto", "cpu", "cuda"]) -> Device:
    """The device to train on. PreconditionError if CUDA is asked for and torch sees none."""
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise PreconditionError("BURNISH_TRAINER_DEVICE is cuda and torch sees no CUDA device: set it to auto or cpu")
    return "cuda" if available and asked != "cpu" else "cpu"


def require_untaken() -> None:
    """InternalError if this process has a GPU already: it could be given no other any more, whatever it is granted."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        raise InternalError(
            "a library took a GPU before one was granted: this worker ends, and jobs load their own libraries"
        )


def dtype(on: Device) -> DType:
    """bf16 if the hardware multiplies it natively."""
    if on == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return cpu_dtype()


def peak_memory_bytes(on: Device) -> int:
    """The most that the device's allocator (CUDA) or this process (CPU) has held so far."""
    if on == "cuda":
        return torch.cuda.max_memory_reserved()
    for line in STATUS.read_text().splitlines() if STATUS.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # the forking process's too, on Linux


def describe(on: Device) -> str:
    return torch.cuda.get_device_name(0) if on == "cuda" else f"{torch.get_num_threads()} CPU threads"


def measure_speed(on: Device, name: str) -> Speed:
    """Of a large square matrix product and of an elementwise sum, the best of half a second each."""
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
    """`python -m burnish_trainer.worker.torch_device <device> <name> <path>`: measure, and write a Speed to the path."""
    on, name, path = sys.argv[1:4]
    speed = measure_speed("cuda" if on == "cuda" else "cpu", name)
    write_atomically(Path(path), speed.model_dump_json().encode())


if __name__ == "__main__":
    main()
