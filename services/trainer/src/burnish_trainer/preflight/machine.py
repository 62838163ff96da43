"""What the trainer's machine is and has free, read without torch: /proc, the disk, nvidia-smi, and a speed measured once.

The speed is measured by a short-lived process (`python -m burnish_trainer.worker.hardware`) and kept in the work directory.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from burnish.schemas.base import Frozen
from burnish_trainer.preflight.estimate import Machine
from burnish_trainer.worker.backends import Device, DType

log = logging.getLogger(__name__)

PROC = Path("/proc")
BF16_FLAG = "avx512_bf16"
SPEED_FILE = "speed.json"
SPEED_SECONDS = 120.0
QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")
MEBIBYTE = 1 << 20
USABLE_SHARE = 0.97  # of a GPU's memory: the driver keeps the rest
CORE_FLOPS = 2e10  # where no speed could be measured: a core's fp32 matrix products
CORE_BYTES_PER_SECOND = 4e9
GPU_FLOPS = 3e13
GPU_BYTES_PER_SECOND = 3e11


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
    """configured: auto, cpu or cuda. On several GPUs the smallest counts, since a job may get any of them."""
    gpus = [] if configured == "cpu" else read_gpus()
    free_disk = shutil.disk_usage(work_dir).free
    if gpus:
        return _cuda_machine(min(gpus, key=lambda gpu: gpu.memory_bytes), work_dir, free_disk)
    flags = _cpu_field("flags").split()
    dtype: DType = "bfloat16" if BF16_FLAG in flags else "float32"
    cores = len(os.sched_getaffinity(0))
    name = processor_name()
    memory = memory_figures((PROC / "meminfo").read_text())
    speed = speed_of(work_dir, "cpu", name)
    return Machine(
        device="cpu",
        name=name,
        dtype=speed.dtype if speed else dtype,
        memory_bytes=memory["MemTotal"],
        available_memory_bytes=min(memory["MemTotal"], memory["MemAvailable"] + children_bytes(os.getpid())),
        free_disk_bytes=free_disk,
        flops=speed.flops if speed else cores * CORE_FLOPS,
        bytes_per_second=speed.bytes_per_second if speed else cores * CORE_BYTES_PER_SECOND,
        speed_measured=speed is not None,
    )


def _cuda_machine(gpu: Gpu, work_dir: Path, free_disk: int) -> Machine:
    """All of the GPU is counted: this trainer owns it, and a job waits until the one before has left it."""
    speed = speed_of(work_dir, "cuda", gpu.name)
    return Machine(
        device="cuda",
        name=gpu.name,
        dtype="bfloat16" if gpu.compute_capability >= 8 else "float16",
        memory_bytes=gpu.memory_bytes,
        available_memory_bytes=int(gpu.memory_bytes * USABLE_SHARE),
        free_disk_bytes=free_disk,
        flops=speed.flops if speed else GPU_FLOPS,
        bytes_per_second=speed.bytes_per_second if speed else GPU_BYTES_PER_SECOND,
        speed_measured=speed is not None,
    )


def read_gpus() -> list[Gpu]:
    """By nvidia-smi; none where it is not there or says there are none."""
    try:
        answer = subprocess.run(QUERY, capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError:
        return []
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        log.warning("nvidia-smi does not answer (%s): taken as no GPU", error)
        return []
    return parse_gpus(answer.stdout)


def parse_gpus(text: str) -> list[Gpu]:
    """Lines of "name, total MiB, compute capability". A line that says [N/A] is passed over."""
    gpus = []
    for line in text.splitlines():
        name, _, rest = line.rpartition(", ")[0].rpartition(", ")
        try:
            gpus.append(Gpu(name.strip(), int(rest) * MEBIBYTE, float(line.rsplit(",", 1)[1])))
        except (ValueError, IndexError):
            log.warning("nvidia-smi said %r: passed over", line)
    return gpus


def memory_figures(meminfo: str) -> dict[str, int]:
    """/proc/meminfo in bytes."""
    lines = (line.split() for line in meminfo.splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3}


def children_bytes(pid: int) -> int:
    """Resident bytes of a process's descendants: a trainer's workers, which leave before a waiting job begins."""
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # has ended meanwhile
            parents[int(entry.name)] = (int(stat[1]), int(stat[21]) * os.sysconf("SC_PAGE_SIZE"))
    family = {pid}
    while grown := {child for child, (parent, _) in parents.items() if parent in family} - family:
        family |= grown
    return sum(size for child, (_, size) in parents.items() if child in family - {pid})


def processor_name() -> str:
    """With the number of cores that this process may use."""
    return f"{_cpu_field('model name') or 'processor'} × {len(os.sched_getaffinity(0))}"


def _cpu_field(name: str) -> str:
    """The first processor's field of /proc/cpuinfo; empty where it has none."""
    for line in (PROC / "cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def speed_of(work_dir: Path, device: Device, name: str) -> Speed | None:
    """As kept, else measured now (some seconds, once); None where it cannot be, which the estimate's basis then says."""
    path = work_dir / SPEED_FILE
    if kept := _kept_speed(path, name):
        return kept
    command = [sys.executable, "-m", "burnish_trainer.worker.hardware", device, name, str(path)]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=SPEED_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        log.warning("the speed of %s could not be measured: %s", name, error.stderr.strip().splitlines()[-1:])
    except subprocess.TimeoutExpired:
        log.warning("measuring the speed of %s took over %g s: left", name, SPEED_SECONDS)
    return _kept_speed(path, name)


def _kept_speed(path: Path, name: str) -> Speed | None:
    try:
        speed = Speed.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return speed if speed.name == name else None
