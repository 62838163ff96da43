"""The devices of this machine by names that are the same in every container of it: a GPU's UUID, or `cpu:` and the boot id.

The trainer and the inference service read them, each under its own CUDA_VISIBLE_DEVICES. Standard library and nvidia-smi only.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
QUERY = ("nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits")
SECONDS = 20.0
MEBIBYTE = 1 << 20
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Gpu:
    """index: of the driver, in the order of the bus. free_bytes: None if the driver does not say (a GPU in slices)."""

    index: int
    uuid: str
    free_bytes: int | None


def query() -> str:
    """What nvidia-smi says; empty if there is none or it fails."""
    try:
        return subprocess.run(QUERY, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    except FileNotFoundError:
        return ""
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        log.warning("nvidia-smi does not answer: %s", error)
        return ""


def read_gpus(ask: Callable[[], str] = query) -> list[Gpu]:
    gpus = []
    for line in ask().splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == 3 and words[0].isdecimal():
            free = int(words[2]) * MEBIBYTE if words[2].isdecimal() else None
            gpus.append(Gpu(int(words[0]), words[1], free))
    return gpus


def visible_gpus(environment: Mapping[str, str], ask: Callable[[], str] = query) -> list[str]:
    """UUIDs in the order in which CUDA numbers them for a process of this environment. A slice (MIG-…) stays as it is named."""
    gpus = read_gpus(ask)
    if VISIBLE not in environment:
        return [gpu.uuid for gpu in gpus]
    visible: list[str] = []
    for name in (name.strip() for name in environment[VISIBLE].split(",")):
        named = [name] if name.startswith("MIG-") else [gpu.uuid for gpu in gpus if _is_named(gpu, name)]
        if len(named) != 1:
            break  # as CUDA does: an unknown one ends the list
        visible += named
    return visible


def _is_named(gpu: Gpu, name: str) -> bool:
    return str(gpu.index) == name or (name.startswith("GPU-") and gpu.uuid.startswith(name))


def cpu(boot_id: Path = BOOT_ID) -> str:
    """The processor and the memory of this machine."""
    return f"cpu:{boot_id.read_text().strip()}"


def free_bytes(devices: Sequence[str], ask: Callable[[], str] = query, memory: Path = MEMORY) -> int | None:
    """Of the device with the least free memory; None if it cannot be read of each."""
    of = {gpu.uuid: gpu.free_bytes for gpu in read_gpus(ask)} if any(not is_cpu(name) for name in devices) else {}
    free = [_available(memory) if is_cpu(name) else of.get(name) for name in devices]
    known = [value for value in free if value is not None]
    return min(known) if known and len(known) == len(free) else None


def is_cpu(name: str) -> bool:
    return name.startswith("cpu")


def _available(memory: Path) -> int | None:
    for line in memory.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
