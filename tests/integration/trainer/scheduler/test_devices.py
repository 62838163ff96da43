"""Which devices jobs may have, and which of them a job gets."""

from __future__ import annotations

import pytest

from burnish.errors import PreconditionError
from burnish_trainer.hardware.gpus import Gpu
from burnish_trainer.scheduler.devices import DevicePool, discover

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
