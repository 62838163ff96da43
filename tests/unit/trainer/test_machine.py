"""The room that a run has on the GPUs of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from burnish.errors import UnavailableError
from burnish.machine.gpus import DriverError, Gpu
from burnish_trainer.hardware.machine import MachineReader

GIB = 1 << 30
A10 = Gpu(0, "GPU-aa", "NVIDIA A10", 24 * GIB, 22 * GIB, 8.6)


@pytest.fixture
def reader(tmp_path: Path) -> Callable[..., MachineReader]:
    """Of a machine with these GPUs, whose speeds are on record."""

    def make(found: list[Gpu], busy: set[str], lent: Sequence[str] = ()) -> MachineReader:
        for gpu in found:
            (tmp_path / "speed.json").write_text(
                f'{{"name": "{gpu.name}", "dtype": "bfloat16", "flops": 7e13, "bytes_per_second": 5e11}}'
            )
        return MachineReader(tmp_path, "auto", lambda: busy, lambda: found, lambda: lent)

    return make


def test_a_run_can_have_what_is_free_of_the_fullest_gpu(reader: Callable[..., MachineReader]) -> None:
    a10, other = A10, replace(A10, uuid="GPU-cc", free_bytes=9 * GIB)
    machine = reader([a10, other], set())()
    assert (machine.name, machine.memory_bytes, machine.available_memory_bytes) == ("NVIDIA A10", 24 * GIB, 9 * GIB)
    assert (machine.device, machine.dtype) == ("cuda", "bfloat16")


def test_a_job_of_ours_hides_no_memory_from_the_next_one(reader: Callable[..., MachineReader]) -> None:
    found, busy = [A10], set[str]()
    machine = reader(found, busy)
    assert machine().available_memory_bytes == 22 * GIB
    busy.add("cuda:0")
    found[0] = replace(found[0], free_bytes=GIB)
    assert machine().available_memory_bytes == 22 * GIB  # as it was before the job began
    busy.clear()
    found[0] = replace(found[0], free_bytes=12 * GIB)  # another program has come
    assert machine().available_memory_bytes == 12 * GIB


def test_a_gpu_that_was_never_seen_idle_counts_whole(reader: Callable[..., MachineReader]) -> None:
    found = [replace(gpu, free_bytes=GIB) for gpu in [A10]]
    assert reader(found, {"cuda:0"})().available_memory_bytes == int(24 * GIB * 0.97)


def test_a_driver_that_fails_puts_preflight_off(tmp_path: Path) -> None:
    def fails() -> list[Gpu]:
        raise DriverError("it hangs")

    with pytest.raises(UnavailableError, match="it hangs"):
        MachineReader(tmp_path, "auto", read_gpus=fails)()


def test_memory_that_serving_lends_counts_whole(reader: Callable[..., MachineReader]) -> None:
    found = [replace(A10, free_bytes=GIB), replace(A10, uuid="GPU-cc", free_bytes=GIB)]
    whole = int(24 * GIB * 0.97)
    assert reader(found[:1], set(), [A10.uuid])().available_memory_bytes == whole
    assert reader(found, set(), [A10.uuid])().available_memory_bytes == GIB, "the other one is not lent"
    assert reader(found, set(), [A10.uuid, "GPU-cc"])().available_memory_bytes == whole
