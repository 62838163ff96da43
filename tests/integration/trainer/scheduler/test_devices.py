"""Which devices jobs may have, and which of them a job gets."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from burnish.errors import PreconditionError
from burnish.machine.gpus import Gpu
from burnish_trainer.scheduler.devices import DevicePool, discover
from burnish_trainer.scheduler.gpu_locks import GpuLocks

GPUS = [Gpu(number, f"GPU-{number}", "A10", 24 << 30, 22 << 30, 8.6) for number in range(2)]


def test_devices_are_named_as_torch_names_them() -> None:
    assert discover("auto", GPUS) == discover("cuda", GPUS) == ("cuda:0", "cuda:1")
    assert discover("cpu", GPUS) == discover("auto", []) == ("cpu",)
    with pytest.raises(PreconditionError, match="set the device to cpu"):
        discover("cuda", [])


def test_a_job_gets_different_gpus_the_idlest_first() -> None:
    pool = DevicePool(("cuda:0", "cuda:1"), workers=2)
    assert (pool.all, pool.slots, pool.free()) == (2, 4, ("cuda:0", "cuda:1"))
    pool.take(["cuda:0"])
    assert pool.free() == ("cuda:1", "cuda:0")
    pool.take(["cuda:1", "cuda:0"])
    assert pool.free() == ("cuda:1",)
    pool.take(["cuda:1"])
    assert pool.free() == ()
    pool.release(["cuda:0"])
    assert pool.free() == ("cuda:0",)


def test_the_cpu_is_one_device_with_several_slots() -> None:
    pool = DevicePool(("cpu",), workers=3)
    assert (pool.all, pool.slots, pool.free()) == (3, 3, ("cpu", "cpu", "cpu"))
    pool.take(["cpu", "cpu"])
    assert pool.free() == ("cpu",)


def test_a_gpu_belongs_to_one_trainer_of_the_host(tmp_path: Path) -> None:
    with closing(GpuLocks(tmp_path / "locks", GPUS[:1])) as first:
        with closing(GpuLocks(tmp_path / "locks", GPUS)) as second:  # it sees both and gets the other one
            assert (first.gpus, second.gpus) == (GPUS[:1], GPUS[1:])
        with pytest.raises(PreconditionError, match=r"A10 \(GPU-0\): another trainer has it"):
            GpuLocks(tmp_path / "locks", GPUS[:1])
    with closing(GpuLocks(tmp_path / "locks", GPUS[:1])) as third:
        assert third.gpus == GPUS[:1]
    assert GpuLocks(tmp_path / "locks", []).gpus == []


def test_a_killed_trainer_gives_its_gpus_back(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from burnish.machine.gpus import Gpu\n"
        "from burnish_trainer.scheduler.gpu_locks import GpuLocks\n"
        "held = GpuLocks(Path(sys.argv[1]), [Gpu(0, 'GPU-0', 'A10', 1, 1, 8.6)]); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(PreconditionError):
            GpuLocks(tmp_path, GPUS[:1])
        other.kill()
    with closing(GpuLocks(tmp_path, GPUS[:1])) as again:
        assert again.gpus == GPUS[:1]
