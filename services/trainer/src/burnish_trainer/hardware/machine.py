"""What the trainer's machine is and has free: memory, disk, GPUs, and a speed that is measured once.

Called by preflight's planner for every job. The speed is measured by a short-lived process, since it needs torch
(`python -m burnish_trainer.worker.torch_device`), and kept in the work directory.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import psutil
from pydantic import Field, ValidationError

from burnish.errors import UnavailableError
from burnish.machine import gpus
from burnish.machine.gpus import VISIBLE, DriverError, Gpu
from burnish.schemas.base import Frozen
from burnish_trainer.hardware.backends import Device, DType

log = logging.getLogger(__name__)

CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAG = "avx512_bf16"
SPEED_FILE = "speed.json"
SPEED_SECONDS = 120.0
USABLE_SHARE = 0.97  # of a GPU's memory if it was never seen idle: the driver keeps the rest
CORE_FLOPS = 2e10  # of a core's fp32 matrix products, if no speed could be measured
CORE_BYTES_PER_SECOND = 4e9
GPU_FLOPS = 3e13
GPU_BYTES_PER_SECOND = 3e11


class Machine(Frozen):
    """What a run will have. name: of the processor or GPU; flops: of a large matrix product in dtype, a second."""

    device: Device
    name: str
    dtype: DType
    memory_bytes: int = Field(description="the device has")
    available_memory_bytes: int = Field(description="a run of this trainer can have")
    free_disk_bytes: int
    flops: float
    bytes_per_second: float = Field(description="read and written by an elementwise kernel")
    speed_measured: bool = Field(description="False: guessed from the name")


class Speed(Frozen):
    """<work_dir>/speed.json: of a large matrix product in dtype, and of an elementwise kernel."""

    name: str
    dtype: DType
    flops: float
    bytes_per_second: float


class MachineReader:
    """Reads the machine anew for every job. configured: auto, cpu or cuda. busy: the devices that workers of this trainer are on.
    lent: the UUIDs of GPUs that serving leaves to a job that needs them, so that all of their memory counts.

    Of several GPUs the one with the least room counts, since a job may get any of them.
    """

    def __init__(
        self,
        work_dir: Path,
        configured: str,
        busy: Callable[[], Collection[str]] = tuple,
        read_gpus: Callable[[], Sequence[Gpu]] | None = None,
        lent: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._work_dir = work_dir
        self._configured = configured
        self._busy = busy
        self._read_gpus = read_gpus or (lambda: gpus.visible(os.environ))
        self._lent = lent
        self._free_when_idle: dict[str, int] = {}

    def __call__(self) -> Machine:
        """UnavailableError if the driver does not answer."""
        try:
            found = [] if self._configured == "cpu" else self._read_gpus()
        except DriverError as error:
            raise UnavailableError(str(error)) from error
        device: Device = "cuda" if found else "cpu"
        visible = ""
        if found:
            gpu, available_bytes = self._fullest(found)
            name, memory_bytes, visible = gpu.name, gpu.memory_bytes, gpu.uuid
            dtype: DType = "bfloat16" if gpu.compute_capability >= 8 else "float16"
            guessed = GPU_FLOPS, GPU_BYTES_PER_SECOND
        else:
            memory, cores = psutil.virtual_memory(), len(os.sched_getaffinity(0))
            name, memory_bytes = processor_name(), memory.total
            available_bytes = min(memory.total, memory.available + children_bytes(os.getpid()))
            dtype = cpu_dtype()
            guessed = cores * CORE_FLOPS, cores * CORE_BYTES_PER_SECOND
        speed = speed_of(self._work_dir, device, name, visible)
        return Machine(
            device=device,
            name=name,
            dtype=speed.dtype if speed and device == "cpu" else dtype,
            memory_bytes=memory_bytes,
            available_memory_bytes=available_bytes,
            free_disk_bytes=shutil.disk_usage(self._work_dir).free,
            flops=speed.flops if speed else guessed[0],
            bytes_per_second=speed.bytes_per_second if speed else guessed[1],
            speed_measured=speed is not None,
        )

    def _fullest(self, found: Sequence[Gpu]) -> tuple[Gpu, int]:
        """With the bytes that a run can have there: what is free while no worker of ours is on it, since a job waits for that."""
        busy, lent, room = set(self._busy()), self._lent(), {}
        for number, gpu in enumerate(found):
            if gpu.uuid in lent:
                room[gpu] = int(gpu.memory_bytes * USABLE_SHARE)
                continue
            if f"cuda:{number}" not in busy:
                self._free_when_idle[gpu.uuid] = gpu.free_bytes
            room[gpu] = self._free_when_idle.get(gpu.uuid, int(gpu.memory_bytes * USABLE_SHARE))
        gpu = min(room, key=lambda gpu: room[gpu])
        return gpu, room[gpu]


def children_bytes(pid: int) -> int:
    """Resident bytes of a process's descendants: a trainer's workers, which leave before a waiting job begins."""
    total = 0
    for child in psutil.Process(pid).children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it has ended since
    return total


def cpu_dtype() -> DType:
    """bf16 if the processor multiplies it natively; one that emulates it is slower than in fp32."""
    return "bfloat16" if BF16_FLAG in _cpu_field("flags").split() else "float32"


def processor_name() -> str:
    """With the number of cores that this process may use."""
    return f"{_cpu_field('model name') or 'processor'} × {len(os.sched_getaffinity(0))}"


def _cpu_field(name: str) -> str:
    """The first processor's field of /proc/cpuinfo; empty if it has none."""
    for line in CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else ():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def speed_of(work_dir: Path, device: Device, name: str, visible: str = "") -> Speed | None:
    """The speed on record, else measured now (some seconds, once). None if that fails, which the estimate's basis then says.

    visible: UUID of the GPU of that name.
    """
    path = work_dir / SPEED_FILE
    if recorded := _recorded_speed(path, name):
        return recorded
    environment = {**os.environ, VISIBLE: visible}
    command = [sys.executable, "-m", "burnish_trainer.worker.torch_device", device, name, str(path)]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=SPEED_SECONDS, check=True, env=environment)
    except subprocess.CalledProcessError as error:
        log.warning("the speed of %s could not be measured: %s", name, error.stderr.strip().splitlines()[-1:])
    except subprocess.TimeoutExpired:
        log.warning("measuring the speed of %s took over %g s and was ended", name, SPEED_SECONDS)
    return _recorded_speed(path, name)


def _recorded_speed(path: Path, name: str) -> Speed | None:
    try:
        speed = Speed.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return speed if speed.name == name else None
