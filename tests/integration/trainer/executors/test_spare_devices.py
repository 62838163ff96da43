"""A real spare worker on a host with two GPUs, whose answers a stub of torch.cuda gives: which devices it sees, and when it first looks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from integration.trainer.attempts import Attempts
from integration.trainer.trainer_process import until

from burnish.schemas.base import VersionRef
from burnish_trainer.executors.events import Failed
from burnish_trainer.executors.local import LocalExecutor

pytestmark = pytest.mark.model

# Run by every Python process that has its folder on PYTHONPATH: here by workers alone. Each call that would take a GPU is written
# down with what the process would see.
STUB = """
import json, os, sys, torch

def looked(name, answer):
    def call(*_, **__):
        seen = {"call": name, "visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "pid": os.getpid()}
        with open(os.environ["LOOKS"], "a") as file:
            file.write(json.dumps(seen) + "\\n")
        return answer
    return call

ANSWERS = {"is_available": True, "device_count": 2, "get_device_capability": (8, 6), "get_device_name": "A10",
           "is_bf16_supported": True, "init": None, "_lazy_init": None, "mem_get_info": (1, 1)}
for name, answer in ANSWERS.items():
    setattr(torch.cuda, name, looked(name, answer))
"""
# As the real one: asks for the capability on import, and wants to be imported before those that it patches.
UNSLOTH = """
import sys, torch
early = [name for name in ("transformers", "trl", "peft") if name in sys.modules]
torch.cuda.get_device_capability()
raise ImportError(f"imported after {early}")
"""


@pytest.fixture(params=["peft", "unsloth"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def executor(
    backend: str, tmp_path: Path, tiny_base: Path, store_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalExecutor]:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "sitecustomize.py").write_text(STUB)
    if backend == "unsloth":
        (packages / "unsloth.py").write_text(UNSLOTH)
        monkeypatch.syspath_prepend(packages)  # the executor looks whether the package is there
    environment = store_environment | {
        "PYTHONPATH": ":".join([str(packages), *filter(None, sys.path)]),
        "LOOKS": str(tmp_path / "looks"),
    }
    executor = LocalExecutor(tmp_path, tiny_base, ("GPU-a", "GPU-b"), environment, warm_workers=1)
    yield executor
    executor.close()


def looks(folder: Path) -> list[dict[str, str]]:
    path = folder / "looks"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def asleep(pid: int) -> bool:
    """A spare that waits for its folder: it has imported datasets, with pyarrow, and neither computes nor reads."""
    if "libarrow" not in Path(f"/proc/{pid}/maps").read_text():
        return False
    for _ in range(20):
        if psutil.Process(pid).status() != psutil.STATUS_SLEEPING:
            return False
        time.sleep(0.05)
    return True


def test_a_spare_looks_at_no_gpu_before_one_is_granted_and_sees_only_that_one(
    executor: LocalExecutor, backend: str, tmp_path: Path
) -> None:
    spare = until(lambda: executor.spare_pid)
    until(lambda: asleep(spare), seconds=120)
    assert looks(tmp_path) == []
    dataset = VersionRef(name="none", version="0" * 16)
    attempts = Attempts(executor, dataset, "job-0000000000000001", {"max_steps": 1}, ["cuda:1"])
    worker = attempts.start()
    assert worker.process.pid == spare
    attempts.ends(worker)
    seen = looks(tmp_path)
    assert {look["visible"] for look in seen if look["pid"] == spare} == {"GPU-b"}
    assert {"is_available"} <= {look["call"] for look in seen}
    (*_, failed) = attempts.said()
    assert isinstance(failed, Failed)  # there is no dataset, nor this GPU
    if backend == "unsloth":
        assert "get_device_capability" in {look["call"] for look in seen}
        assert "imported after []" in attempts.log()
