"""Running out of memory: by how much, what would fit by the estimate, and what the job is retried with if it allows that. Called by main.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from burnish.errors import PreconditionError
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import SmallerRun
from burnish_trainer.executors.assignment import Assignment
from burnish_trainer.executors.events import Failed

ON_GPU = re.compile(r"Tried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)")
ON_CPU = re.compile(r"can't allocate memory: you tried to allocate (\d+) bytes")
UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
MARGIN = 0.95  # of the room: what the allocator cannot use, since it is in pieces
NAMED = 3


@dataclass(frozen=True)
class Shortage:
    """wanted_bytes: what the process held and the allocation that failed; more may have followed. room_bytes: what it could have had."""

    where: str
    wanted_bytes: int
    room_bytes: int

    @property
    def missing_bytes(self) -> int:
        """At least what failed to be found; memory in pieces may be enough in all."""
        return max(self.wanted_bytes - self.room_bytes, 0)


def shortage(error: Exception) -> Shortage | None:
    """None if the error is another one."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which needs no import of torch here
        import torch

        free, _ = torch.cuda.mem_get_info()
        allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        return on_gpu(str(error), torch.cuda.get_device_name(0), allocated, reserved, free)
    if found := ON_CPU.search(str(error)):
        held, asked = psutil.Process().memory_info().rss, int(found[1])
        return _short("this machine", held, held, asked, psutil.virtual_memory().available)
    return None


def on_gpu(message: str, name: str, allocated_bytes: int, reserved_bytes: int, free_bytes: int) -> Shortage:
    found = ON_GPU.search(message)
    asked = int(float(found[1]) * UNITS[found[2]]) if found else 0
    return _short(name, allocated_bytes, reserved_bytes, asked, free_bytes)


def _short(where: str, used_bytes: int, held_bytes: int, asked_bytes: int, free_bytes: int) -> Shortage:
    """If so much is free, a limit of the process forbade it, and it has what it holds."""
    room = held_bytes + (free_bytes if free_bytes < asked_bytes or not asked_bytes else 0)
    return Shortage(where, used_bytes + asked_bytes, room)


def failure(shortage: Shortage, assignment: Assignment, restart: Callable[[], None]) -> Failed:
    """The failure, with advice. restart: deletes the job's checkpoints, which are of another run if the spec is changed."""
    spec, fitting = assignment.spec, _fitting(shortage, assignment)
    same_rows = (smaller for smaller in fitting if _trains_the_same(smaller, spec))
    chosen = next(same_rows, None) if spec.retry_smaller else None
    message = (
        f"out of memory: the run wanted at least {_gigabytes(shortage.wanted_bytes)} and {shortage.where} has room for "
        f"{_gigabytes(shortage.room_bytes)}, {_gigabytes(shortage.missing_bytes)} less; "
    )
    if chosen:
        message += f"it is trained once more, from the start, with {chosen.what}"
    elif fitting:
        message += f"by the estimate would fit: {'; or '.join(smaller.what for smaller in fitting[:NAMED])}"
    else:
        message += (
            "by the estimate nothing smaller would fit: free the device of other programs, or take a smaller base model"
        )
    error = PreconditionError(
        message,
        wanted_bytes=str(shortage.wanted_bytes),
        room_bytes=str(shortage.room_bytes),
        missing_bytes=str(shortage.missing_bytes),
    )
    if chosen is None:
        return Failed(error=error.to_dict(), retry=False)
    restart()
    return Failed(error=error.to_dict(), retry=True, changed_spec=changed(spec, chosen))


def changed(spec: JobSpec, smaller: SmallerRun) -> JobSpec:
    """The smaller run's spec, which is not made smaller a second time."""
    sizes = {"batch_size": smaller.batch_size, "gradient_accumulation_steps": smaller.gradient_accumulation_steps}
    fields = {
        "quantization": smaller.quantization,
        "optimizer": spec.optimizer.model_copy(update=sizes),
        "retry_smaller": False,
    }
    return spec.model_copy(update=fields)


def _fitting(shortage: Shortage, assignment: Assignment) -> list[SmallerRun]:
    """The estimate was too low at least by what the run wanted beyond it."""
    estimate = assignment.estimate
    if estimate is None:
        return []
    factor = max(1.0, shortage.wanted_bytes / max(estimate.peak_memory_bytes, 1))
    room = shortage.room_bytes * MARGIN
    return [smaller for smaller in estimate.smaller if smaller.peak_memory_bytes * factor <= room]


def _trains_the_same(smaller: SmallerRun, spec: JobSpec) -> bool:
    """All rows, and an adapter of the shape that was asked for."""
    return smaller.rank == spec.lora.rank and smaller.max_length == spec.optimizer.max_length


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
