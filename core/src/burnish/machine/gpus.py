"""The GPUs of this machine by the driver's own library (NVML), and those of them that CUDA_VISIBLE_DEVICES names.

The trainer reads them for its jobs, the inference service for what it lends. The library is asked by a short-lived process, `python -m burnish.machine.gpus`, since a broken driver may never answer.
NVML takes no memory of a GPU and starts no CUDA. A GPU that is in slices (MIG) counts as its slices, which have their
own memory; CUDA gives a process one of them only.
"""

from __future__ import annotations

import ctypes
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
LIBRARY = "libnvidia-ml.so.1"
READER = (sys.executable, "-m", "burnish.machine.gpus")
READ_SECONDS = 20.0
NAME_BYTES = 96
NOT_LOADED = 9  # NVML_ERROR_DRIVER_NOT_LOADED: the library alone is there


@dataclass(frozen=True)
class Gpu:
    """A GPU or a slice of one. number: of the GPU, in the order of the bus. free_bytes: just now."""

    number: int
    uuid: str
    name: str
    memory_bytes: int
    free_bytes: int
    compute_capability: float

    @property
    def is_slice(self) -> bool:
        return self.uuid.startswith("MIG-")


class DriverError(Exception):
    """The driver is there and does not do what it is asked; the text says what. status: NVML's, 0 if it gave none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def visible(environment: Mapping[str, str], read: Callable[[], Sequence[Gpu]] | None = None) -> list[Gpu]:
    """The GPUs and slices that a process of this environment may use, in CUDA's order; an unknown name ends the list, as it does there.

    Numbers count as nvidia-smi does, by the bus. A GPU in slices stands for all of them. DriverError as `read_all`.
    """
    found = list((read or read_all)())
    names = environment.get(VISIBLE)
    if names is None:
        return found
    chosen: list[Gpu] = []
    for name in (name.strip() for name in names.split(",")):
        matching = [gpu for gpu in found if _is_named(gpu, name)]
        if not matching:
            break
        chosen += [gpu for gpu in matching if gpu not in chosen]
    return chosen


def _is_named(gpu: Gpu, name: str) -> bool:
    """CUDA takes the beginning of a UUID too."""
    return str(gpu.number) == name or (name.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(name))


def read_all(command: Sequence[str] = READER, seconds: float = READ_SECONDS) -> list[Gpu]:
    """Every GPU of the machine; none if it has no driver. DriverError if the driver fails or does not answer."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise DriverError(f"NVIDIA's driver does not answer within {seconds:g} s") from None
    if answer.returncode != 0:
        raise DriverError((answer.stderr.strip().splitlines() or ["reading the GPUs failed"])[-1])
    return [Gpu(**fields) for fields in json.loads(answer.stdout)]


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Nvml:
    """The few functions of NVML that are needed here. library: as ctypes loads it."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._ask("Init_v2")

    def gpus(self) -> Iterator[Gpu]:
        for number in range(self._number("DeviceGetCount_v2")):
            device = self._handle("DeviceGetHandleByIndex_v2", ctypes.c_uint(number))
            major, minor = ctypes.c_int(), ctypes.c_int()
            self._ask("DeviceGetCudaComputeCapability", device, ctypes.byref(major), ctypes.byref(minor))
            capability = float(f"{major.value}.{minor.value}")
            for part in self._slices(device) or [device]:
                memory = _Memory()
                self._ask("DeviceGetMemoryInfo", part, ctypes.byref(memory))
                uuid, name = self._text("DeviceGetUUID", part), self._text("DeviceGetName", part)
                yield Gpu(number, uuid, name, int(memory.total), int(memory.free), capability)

    def _slices(self, device: ctypes.c_void_p) -> list[ctypes.c_void_p]:
        """Empty for a GPU that is whole, or cannot be in slices."""
        current, pending, most = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint()
        try:
            self._ask("DeviceGetMigMode", device, ctypes.byref(current), ctypes.byref(pending))
            if not current.value:
                return []
            self._ask("DeviceGetMaxMigDeviceCount", device, ctypes.byref(most))
        except DriverError:
            return []
        slices = []
        for index in range(most.value):
            try:
                slices.append(self._handle("DeviceGetMigDeviceHandleByIndex", device, ctypes.c_uint(index)))
            except DriverError:
                continue  # no slice has this number
        return slices

    def _number(self, function: str) -> int:
        number = ctypes.c_uint()
        self._ask(function, ctypes.byref(number))
        return number.value

    def _handle(self, function: str, *arguments: Any) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._ask(function, *arguments, ctypes.byref(handle))
        return handle

    def _text(self, function: str, device: ctypes.c_void_p) -> str:
        text = ctypes.create_string_buffer(NAME_BYTES)
        self._ask(function, device, text, ctypes.c_uint(NAME_BYTES))
        return text.value.decode(errors="replace")

    def _ask(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, f"nvml{function}")(*arguments)
        if status != 0:
            raise DriverError(
                f"NVIDIA's driver answers {function} with error {status}: see whether nvidia-smi works", status
            )


def main() -> None:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        print("[]")
        return
    try:
        print(json.dumps([asdict(gpu) for gpu in _Nvml(library).gpus()]))
    except DriverError as error:
        if error.status != NOT_LOADED:
            sys.exit(str(error))
        print("[]")


if __name__ == "__main__":
    main()
