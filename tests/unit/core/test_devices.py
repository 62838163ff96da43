"""Names of devices and their free memory, from what nvidia-smi and the kernel write."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish import devices

TWO = "0, GPU-aaaa-1, 21000\n1, GPU-bbbb-2, [N/A]\n"
GIBIBYTE = 1 << 30


def two() -> str:
    return TWO


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, ["GPU-bbbb-2", "GPU-aaaa-1"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-bbbb"}, ["GPU-bbbb-2"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-"}, []),  # of both
        ({"CUDA_VISIBLE_DEVICES": "0,7,1"}, ["GPU-aaaa-1"]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-cccc"}, ["MIG-cccc"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
    ],
)
def test_the_gpus_that_a_process_sees(environment: dict[str, str], expected: list[str]) -> None:
    assert devices.visible_gpus(environment, two) == expected


def test_no_driver_is_no_gpu() -> None:
    assert devices.visible_gpus({}, str) == []
    assert devices.read_gpus(lambda: "NVIDIA-SMI has failed\n") == []


def test_free_memory_is_of_the_fullest_device_and_unknown_if_one_is(tmp_path: Path) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal:       20971520 kB\nMemAvailable:   10485760 kB\n")
    assert devices.free_bytes(["GPU-aaaa-1"], two) == 21000 << 20
    assert devices.free_bytes(["cpu:x"], two, memory) == 10 * GIBIBYTE
    assert devices.free_bytes(["GPU-aaaa-1", "cpu:x"], two, memory) == 10 * GIBIBYTE
    assert devices.free_bytes(["GPU-aaaa-1", "GPU-bbbb-2"], two) is None
    assert devices.free_bytes(["MIG-cccc"], two) is None
    assert devices.free_bytes([], two) is None


def test_this_machine_has_a_name_and_memory() -> None:
    assert devices.cpu().startswith("cpu:")
    assert (devices.free_bytes([devices.cpu()]) or 0) > 0
