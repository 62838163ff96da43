"""Names of devices that mean the same in every container of a machine, and what is free of them: a GPU's UUID, or `cpu:` and the boot id.

The trainer and the inference service agree on who has a device by them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from burnish.machine import gpus

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MEMORY = Path("/proc/meminfo")


def cpu(boot_id: Path = BOOT_ID) -> str:
    """The processor and the memory of this machine."""
    return f"cpu:{boot_id.read_text().strip()}"


def free_bytes(
    names: Sequence[str], read_gpus: Callable[[], Sequence[gpus.Gpu]] = gpus.read_all, memory: Path = MEMORY
) -> int | None:
    """Of the device with the least free memory; None if it cannot be read of each."""
    free: dict[str, int | None] = {}
    if not all(map(_is_cpu, names)):
        try:
            free = {gpu.uuid: gpu.free_bytes for gpu in read_gpus()}
        except gpus.DriverError as error:
            log.warning("%s", error)
    found = [_available(memory) if _is_cpu(name) else free.get(name) for name in names]
    known = [value for value in found if value is not None]
    return min(known) if known and len(known) == len(found) else None


def _is_cpu(name: str) -> bool:
    return name.startswith("cpu:")


def _available(memory: Path) -> int | None:
    for line in memory.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
