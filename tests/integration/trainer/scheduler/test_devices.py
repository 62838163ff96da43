"""Which devices a machine has, by a driver's listing that a script speaks, and which of them a job gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.errors import PreconditionError
from burnish_trainer.scheduler.devices import DevicePool, discover

LISTING = "GPU 0: A (UUID: GPU-a)\\n  MIG 1g: (UUID: MIG-a)\\nGPU 1: A (UUID: GPU-b)\\nGPU 2: A (UUID: GPU-c)\\n"


def machine(folder: Path, listing: str | None = LISTING, exit_code: int = 0, **variables: str) -> dict[str, str]:
    """The environment of a machine whose `nvidia-smi -L` says that; without the program where it is None."""
    if listing is not None:
        program = folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '{listing}'\nexit {exit_code}\n")
        program.chmod(0o755)
    return {"PATH": str(folder), **variables}


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, 3),
        ("0,1,2", 3),
        ("2", 1),
        ("1, 0", 2),
        ("GPU-a,GPU-c", 2),
        ("", 0),
        ("-1", 0),
        ("0,7,1", 1),  # CUDA stops at the first that it does not know
    ],
)
def test_gpus_are_those_that_cuda_would_show(tmp_path: Path, visible: str | None, found: int) -> None:
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    devices = discover("auto", machine(tmp_path, **variables))
    assert devices == (tuple(f"cuda:{number}" for number in range(found)) or ("cpu",))


@pytest.mark.parametrize(("listing", "exit_code"), [(None, 0), ("", 0), ("NVIDIA-SMI has failed", 9)])
def test_a_machine_without_gpus_has_its_cpu(tmp_path: Path, listing: str | None, exit_code: int) -> None:
    environment = machine(tmp_path, listing, exit_code, CUDA_VISIBLE_DEVICES="0")
    assert discover("auto", environment) == ("cpu",)
    with pytest.raises(PreconditionError, match="set the device to cpu"):
        discover("cuda", environment)


def test_the_cpu_can_be_asked_for_where_there_are_gpus(tmp_path: Path) -> None:
    assert discover("cpu", machine(tmp_path)) == ("cpu",)


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
