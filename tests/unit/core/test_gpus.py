"""GPUs as NVIDIA's driver answers (a stub of its library), as CUDA_VISIBLE_DEVICES names them."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from burnish.machine import gpus
from burnish.machine.gpus import DriverError, Gpu

GIB = 1 << 30
NOT_SUPPORTED, NOT_FOUND = 3, 6


@dataclass
class Part:
    """A GPU or a slice of the stub."""

    uuid: str
    name: str
    total: int
    free: int
    capability: tuple[int, int] = (8, 0)
    slices: tuple[Part | None, ...] | None = None  # None: it cannot be in slices


class StubLibrary:
    """libnvidia-ml as ctypes shows it: functions that write through the references that they are given."""

    def __init__(self, *parts: Part, status: int = 0) -> None:
        self._parts, self._status = parts, status
        self._handles: list[Part] = []

    def _part(self, handle: ctypes.c_void_p) -> Part:
        return self._handles[(handle.value or 0) - 1]

    def _give(self, out: Any, part: Part) -> int:
        self._handles.append(part)
        out._obj.value = len(self._handles)
        return 0

    def nvmlInit_v2(self) -> int:
        return self._status

    def nvmlDeviceGetCount_v2(self, out: Any) -> int:
        out._obj.value = len(self._parts)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, out: Any) -> int:
        return self._give(out, self._parts[index.value])

    def nvmlDeviceGetCudaComputeCapability(self, handle: Any, major: Any, minor: Any) -> int:
        major._obj.value, minor._obj.value = self._part(handle).capability
        return 0

    def nvmlDeviceGetMigMode(self, handle: Any, current: Any, pending: Any) -> int:
        slices = self._part(handle).slices
        current._obj.value = pending._obj.value = bool(slices)
        return NOT_SUPPORTED if slices is None else 0

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, out: Any) -> int:
        out._obj.value = len(self._part(handle).slices or ())
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: Any, out: Any) -> int:
        part = (self._part(handle).slices or ())[index.value]
        return NOT_FOUND if part is None else self._give(out, part)

    def nvmlDeviceGetMemoryInfo(self, handle: Any, out: Any) -> int:
        part = self._part(handle)
        out._obj.total, out._obj.free, out._obj.used = part.total, part.free, part.total - part.free
        return 0

    def nvmlDeviceGetUUID(self, handle: Any, out: Any, _size: Any) -> int:
        out.value = self._part(handle).uuid.encode()
        return 0

    def nvmlDeviceGetName(self, handle: Any, out: Any, _size: Any) -> int:
        out.value = self._part(handle).name.encode()
        return 0


A10 = Part("GPU-aa1", "NVIDIA A10", 24 * GIB, 22 * GIB, (8, 6))
SLICES = (
    Part("MIG-1", "NVIDIA A100 MIG 3g.20gb", 20 * GIB, 19 * GIB),
    None,
    Part("MIG-2", "NVIDIA A100 MIG 1g.5gb", 5 * GIB, 4 * GIB),
)
A100 = Part("GPU-bb2", "NVIDIA A100", 40 * GIB, 39 * GIB, slices=SLICES)
T4 = Part("GPU-ab3", "Tesla T4", 15 * GIB, 15 * GIB, (7, 5), slices=())


def read(*parts: Part, status: int = 0) -> list[Gpu]:
    return list(gpus._Nvml(StubLibrary(*parts, status=status)).gpus())


def test_every_gpu_is_read_and_one_in_slices_as_its_slices() -> None:
    assert read(A10, A100, T4) == [
        Gpu(0, "GPU-aa1", "NVIDIA A10", 24 * GIB, 22 * GIB, 8.6),
        Gpu(1, "MIG-1", "NVIDIA A100 MIG 3g.20gb", 20 * GIB, 19 * GIB, 8.0),
        Gpu(1, "MIG-2", "NVIDIA A100 MIG 1g.5gb", 5 * GIB, 4 * GIB, 8.0),
        Gpu(2, "GPU-ab3", "Tesla T4", 15 * GIB, 15 * GIB, 7.5),
    ]


def test_a_driver_that_fails_is_not_a_machine_without_gpus() -> None:
    with pytest.raises(DriverError, match="Init_v2 with error 18"):
        read(status=18)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (None, ["GPU-aa1", "MIG-1", "MIG-2", "GPU-ab3"]),
        ("2,0", ["GPU-ab3", "GPU-aa1"]),
        ("1", ["MIG-1", "MIG-2"]),
        ("GPU-ab3, GPU-aa1", ["GPU-ab3", "GPU-aa1"]),
        ("GPU-ab", ["GPU-ab3"]),
        ("MIG-2", ["MIG-2"]),
        ("0,7,2", ["GPU-aa1"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_visible_gpus_are_those_that_cuda_would_show(names: str | None, found: list[str]) -> None:
    environment = {} if names is None else {"CUDA_VISIBLE_DEVICES": names}
    assert [gpu.uuid for gpu in gpus.visible(environment, lambda: read(A10, A100, T4))] == found


def test_the_reader_is_a_process_and_one_that_hangs_is_ended() -> None:
    said = (
        '[{"number": 0, "uuid": "GPU-1", "name": "A10", "memory_bytes": 2, "free_bytes": 1, "compute_capability": 8.6}]'
    )
    assert gpus.read_all([sys.executable, "-c", f"print({said!r})"]) == [Gpu(0, "GPU-1", "A10", 2, 1, 8.6)]
    with pytest.raises(DriverError, match="does not answer within"):
        gpus.read_all([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.5)
    with pytest.raises(DriverError, match="no luck"):
        gpus.read_all([sys.executable, "-c", "import sys; sys.exit('no luck')"])
