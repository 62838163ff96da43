"""The devices that jobs run on: which this machine has, found without torch, and which are free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from burnish.errors import PreconditionError
from burnish.machine.gpus import VISIBLE, Gpu

CPU = "cpu"


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


def discover(device: str, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The devices of the setting `device`: cpu, cuda (PreconditionError if there is none) or auto.

    gpus: those that this process may use, which are named as torch names them: cuda:0, cuda:1, …
    """
    if device == "cpu":
        return (CPU,)
    found = tuple(f"cuda:{number}" for number in range(len(gpus)))
    if not found and device == "cuda":
        raise PreconditionError(
            f"device cuda: NVIDIA's driver lists no GPU, or {VISIBLE} hides them all: repair the driver, or set the device to cpu"
        )
    return found or (CPU,)
