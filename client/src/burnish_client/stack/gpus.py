"""Which GPUs the parts of an embedded stack see: with two or more, vLLM has the first and jobs have the others. Called by parts.py."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"
LISTING_SECONDS = 20


def apart(part: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables for a part. Empty with fewer than two GPUs, or if the caller has set CUDA_VISIBLE_DEVICES: both parts then honour that."""
    if part not in ("inference", "trainer") or VISIBLE in environment:
        return {}
    count = _count(environment)
    if count < 2:
        return {}
    numbers = [0] if part == "inference" else range(1, count)
    return {VISIBLE: ",".join(map(str, numbers)), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as nvidia-smi numbers them


def are_there(environment: Mapping[str, str]) -> bool:
    """Whether this machine has NVIDIA's tools, and so jobs may have to ask vLLM for a GPU."""
    return shutil.which("nvidia-smi", path=environment.get("PATH")) is not None


def _count(environment: Mapping[str, str]) -> int:
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return 0
    try:
        listing = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=LISTING_SECONDS)
    except subprocess.TimeoutExpired:
        return 0  # the trainer itself says that the driver does not answer
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines()) if listing.returncode == 0 else 0
