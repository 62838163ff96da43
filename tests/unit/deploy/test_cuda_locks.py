"""The locks of a CUDA host: what torch asks for in one version only is there in that version, and every wheel has its hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[3]
LOCKS = ("main-cuda.lock", "inference-cuda.lock")


def versions(lock: str) -> dict[str, str]:
    lines = [line for line in (REPOSITORY / "requirements" / lock).read_text().splitlines() if line[0] != "#"]
    named = [line.partition(" ")[0].split("==") for line in lines]
    return {str(canonicalize_name(name)): version for name, version in named}


@pytest.mark.parametrize("lock", LOCKS)
def test_torchs_exact_pins_are_kept(lock: str) -> None:
    """The head of the lock has them as the resolver read them in torch's own wheel (scripts/cuda_locks.py)."""
    text = (REPOSITORY / "requirements" / lock).read_text()
    (pins,) = re.findall(r"^# torch pins: (.+)$", text, re.MULTILINE)
    wanted = dict(pin.split("==") for pin in pins.split())
    assert "triton" in wanted
    found = versions(lock)
    assert {name: found.get(str(canonicalize_name(name))) for name in wanted} == {
        name: found[name] if found.get(name, "").startswith(f"{version}.") else version
        for name, version in wanted.items()
    }


def test_both_environments_have_the_torch_that_set_up_installs() -> None:
    assert {versions(lock)["torch"] for lock in LOCKS} == {versions("torch-cpu.lock")["torch"]}


def test_nothing_in_the_cuda_lock_changes_what_main_lock_pins() -> None:
    assert set(versions("main.lock")) & set(versions("main-cuda.lock")) == set()
