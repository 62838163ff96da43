"""Names of devices and their free memory, from what the driver and the kernel say."""

from __future__ import annotations

from pathlib import Path

from burnish.machine import devices
from burnish.machine.gpus import DriverError, Gpu

GIBIBYTE = 1 << 30
TWO = [Gpu(n, f"GPU-{n}", "A10", 24 * GIBIBYTE, (21 - n) * GIBIBYTE, 8.6) for n in range(2)]


def two() -> list[Gpu]:
    return TWO


def broken() -> list[Gpu]:
    raise DriverError("NVIDIA's driver does not answer")


def test_free_memory_is_of_the_fullest_device_and_unknown_if_one_is(tmp_path: Path) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal:       20971520 kB\nMemAvailable:   10485760 kB\n")
    assert devices.free_bytes(["GPU-0"], two) == 21 * GIBIBYTE
    assert devices.free_bytes(["GPU-0", "GPU-1"], two) == 20 * GIBIBYTE
    assert devices.free_bytes(["cpu:x"], broken, memory) == 10 * GIBIBYTE
    assert devices.free_bytes(["GPU-0", "cpu:x"], two, memory) == 10 * GIBIBYTE
    assert devices.free_bytes(["GPU-0", "GPU-7"], two) is None
    assert devices.free_bytes(["GPU-0"], broken) is None
    assert devices.free_bytes([], two) is None
    memory.write_text("")
    assert devices.free_bytes(["cpu:x"], two, memory) is None


def test_this_machine_has_a_name_and_memory() -> None:
    assert devices.cpu() == devices.cpu()
    assert devices.cpu().startswith("cpu:")
    assert (devices.free_bytes([devices.cpu()]) or 0) > 0
