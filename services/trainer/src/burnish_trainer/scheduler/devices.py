"""The devices that jobs run on: which this machine has, found without torch, and which are free."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence

from burnish.errors import PreconditionError

CPU = "cpu"
VISIBLE = "CUDA_VISIBLE_DEVICES"
LISTING_SECONDS = 20


class DevicePool:
    """Each device has `workers` slots. A job of several devices gets different GPUs, or as many slots of the CPU."""

    def __init__(self, devices: Sequence[str], workers: int) -> None:
        self._workers = workers
        self._free = Counter(dict.fromkeys(devices, workers))

    @property
    def all(self) -> int:
        """How many devices one job can have at most."""
        return self._workers if CPU in self._free else len(self._free)

    @property
    def slots(self) -> int:
        """How many jobs can run at one time."""
        return self._workers * len(self._free)

    def free(self) -> tuple[str, ...]:
        """What a job can have now, the least busy first."""
        if CPU in self._free:
            return (CPU,) * self._free[CPU]
        return tuple(device for device, slots in self._free.most_common() if slots > 0)

    def take(self, devices: Sequence[str]) -> None:
        self._free.subtract(devices)

    def release(self, devices: Sequence[str]) -> None:
        self._free.update(devices)


def discover(device: str, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The devices of the setting `device`: cpu, cuda (PreconditionError if there is none) or auto.

    GPUs are counted by the driver's own list and CUDA_VISIBLE_DEVICES, and named as torch names them: cuda:0, cuda:1, …
    """
    if device == "cpu":
        return (CPU,)
    found = tuple(f"cuda:{number}" for number in range(len(_visible_gpus(environment))))
    if not found and device == "cuda":
        raise PreconditionError(
            f"device cuda: `nvidia-smi -L` lists no GPU, or {VISIBLE} hides them all: repair the driver, or set the device to cpu"
        )
    return found or (CPU,)


def _visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that CUDA would show a process of this environment, by number or UUID; an unknown one ends the list."""
    count = _installed_gpus(environment)
    if VISIBLE not in environment:
        return [str(number) for number in range(count)]
    visible: list[str] = []
    for name in environment[VISIBLE].split(","):
        known = name.strip().startswith(("GPU-", "MIG-")) or (name.strip().isdigit() and int(name) < count)
        if not known or count == 0:
            break
        visible.append(name.strip())
    return visible


def _installed_gpus(environment: Mapping[str, str]) -> int:
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return 0
    try:
        answer = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=LISTING_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise PreconditionError("`nvidia-smi -L` does not end: repair the driver, or set the device to cpu") from error
    return sum(line.startswith("GPU ") for line in answer.stdout.splitlines()) if answer.returncode == 0 else 0
