"""What the trainer's machine is and has free: memory, disk, GPUs by nvidia-smi, and a speed that is measured once.

Called by preflight's planner for every job. The speed is measured by a short-lived process, since it needs torch
(`python -m burnish_trainer.worker.torch_device`), and kept in the work directory.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import Field, ValidationError

from burnish.schemas.base import Frozen
from burnish_trainer.hardware.backends import Device, DType

log = logging.getLogger(__name__)

CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAG = "avx512_bf16"
SPEED_FILE = "speed.json"
SPEED_SECONDS = 120.0
QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")
MEBIBYTE = 1 << 20
USABLE_SHARE = 0.97  # of a GPU's memory: the driver keeps the rest
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


@dataclass(frozen=True)
class Gpu:
    name: str
    memory_bytes: int
    compute_capability: float


def read_machine(work_dir: Path, configured: str) -> Machine:
    """configured: auto, cpu or cuda. Of several GPUs the smallest counts, since a job may get any of them."""
    gpus = [] if configured == "cpu" else read_gpus()
    device: Device
    dtype: DType
    if gpus:  # all of its memory counts: this trainer owns it, and a job waits until the one before has left it
        gpu = min(gpus, key=lambda gpu: gpu.memory_bytes)
        device, name, memory_bytes = "cuda", gpu.name, gpu.memory_bytes
        available_bytes = int(gpu.memory_bytes * USABLE_SHARE)
        dtype = "bfloat16" if gpu.compute_capability >= 8 else "float16"
        guessed = GPU_FLOPS, GPU_BYTES_PER_SECOND
    else:
        memory, cores = psutil.virtual_memory(), len(os.sched_getaffinity(0))
        device, name, memory_bytes = "cpu", processor_name(), memory.total
        available_bytes = min(memory.total, memory.available + children_bytes(os.getpid()))
        dtype = cpu_dtype()
        guessed = cores * CORE_FLOPS, cores * CORE_BYTES_PER_SECOND
    speed = speed_of(work_dir, device, name)
    return Machine(
        device=device,
        name=name,
        dtype=speed.dtype if speed and device == "cpu" else dtype,
        memory_bytes=memory_bytes,
        available_memory_bytes=available_bytes,
        free_disk_bytes=shutil.disk_usage(work_dir).free,
        flops=speed.flops if speed else guessed[0],
        bytes_per_second=speed.bytes_per_second if speed else guessed[1],
        speed_measured=speed is not None,
    )


def read_gpus() -> list[Gpu]:
    """By nvidia-smi; none if it is not installed or does not answer."""
    try:
        answer = subprocess.run(QUERY, capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError:
        return []
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        log.warning("nvidia-smi does not answer (%s): taken as no GPU", error)
        return []
    return parse_gpus(answer.stdout)


def parse_gpus(text: str) -> list[Gpu]:
    """Lines of "name, total MiB, compute capability". A line that says [N/A] is left out."""
    gpus = []
    for line in text.splitlines():
        try:
            name, mebibytes, capability = line.rsplit(", ", 2)
            gpus.append(Gpu(name, int(mebibytes) * MEBIBYTE, float(capability)))
        except ValueError:
            log.warning("nvidia-smi said %r: left out", line)
    return gpus


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


def speed_of(work_dir: Path, device: Device, name: str) -> Speed | None:
    """The speed on record, else measured now (some seconds, once). None if that fails, which the estimate's basis then says."""
    path = work_dir / SPEED_FILE
    if recorded := _recorded_speed(path, name):
        return recorded
    command = [sys.executable, "-m", "burnish_trainer.worker.torch_device", device, name, str(path)]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=SPEED_SECONDS, check=True)
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
