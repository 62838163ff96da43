"""An embedded stack on a machine with several GPUs, whose driver a script speaks for: vLLM and jobs use different ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish_client.stack.gpus import apart, are_there


def machine(folder: Path, gpus: int, exit_code: int = 0) -> dict[str, str]:
    listing = "".join(f"GPU {number}: NVIDIA A10 (UUID: GPU-{number})\\n" for number in range(gpus))
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{listing}'\nexit {exit_code}\n")
    program.chmod(0o755)
    return {"PATH": str(folder)}


def test_jobs_ask_vllm_for_a_gpu_only_where_there_are_gpus(tmp_path: Path) -> None:
    assert are_there(machine(tmp_path, 1))
    assert not are_there({"PATH": str(tmp_path / "nothing")})


@pytest.mark.parametrize(("gpus", "inference", "trainer"), [(2, "0", "1"), (4, "0", "1,2,3")])
def test_the_first_gpu_serves_and_the_others_train(tmp_path: Path, gpus: int, inference: str, trainer: str) -> None:
    environment = machine(tmp_path, gpus)
    seen = {part: apart(part, environment) for part in ("inference", "trainer", "curator", "objectstore")}
    assert seen["inference"]["CUDA_VISIBLE_DEVICES"] == inference
    assert seen["trainer"] == {"CUDA_VISIBLE_DEVICES": trainer, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert seen["curator"] == seen["objectstore"] == {}


def test_one_gpu_is_shared_and_none_changes_nothing(tmp_path: Path) -> None:
    assert apart("trainer", machine(tmp_path, 1)) == {}
    assert apart("trainer", machine(tmp_path, 2, exit_code=9)) == {}
    assert apart("trainer", {"PATH": "/nowhere"}) == {}


def test_the_callers_own_choice_stands(tmp_path: Path) -> None:
    assert apart("trainer", machine(tmp_path, 4) | {"CUDA_VISIBLE_DEVICES": "3"}) == {}
