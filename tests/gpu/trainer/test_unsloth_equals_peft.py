"""Unsloth beside PEFT on one CUDA device: the same training, for less memory.

On such a machine this would show, for SFT and DPO on the same rows, seed and shape: the first loss within 2 % (DPO: ln 2 in
both, since the reference pass is the policy's own forward), the validation loss at the end within 10 %, adapters of the same
tensors, and a peak of memory under Unsloth no higher than PEFT's; and that rsLoRA's scale is in both adapters' configs.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.model,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(find_spec("unsloth") is None, reason="the unsloth package is not installed"),
]

OPTIMIZER = {"max_steps": 12, "evaluation_interval_steps": 6, "learning_rate": 1e-3}
LORA = {"rank": 16, "use_rslora": True}


SCRIPT = Path(__file__).with_name("one_run.py")


@pytest.fixture
def ran(base_model_dir: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a job by one_run.py."""

    def run(method: str, backend: str, changes: dict[str, Any], *stop_at: str) -> dict[str, Any]:
        folder = tmp_path / backend
        folder.mkdir()
        options = [str(base_model_dir), str(folder), "cuda", method, backend, json.dumps(changes), *stop_at]
        done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-6000:]
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert outcome["backend"] == backend
        return outcome

    return run


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_the_same_training_for_less_memory(ran: Callable[..., dict[str, Any]], method: str) -> None:
    peft, unsloth = (ran(method, backend, {"optimizer": OPTIMIZER, "lora": LORA}) for backend in ("peft", "unsloth"))
    first = peft["train_loss"]["1"]
    assert unsloth["train_loss"]["1"] == pytest.approx(first, rel=0.02)
    if method == "dpo":
        assert first == pytest.approx(math.log(2), abs=1e-3)
    assert unsloth["validation_loss"]["12"] == pytest.approx(peft["validation_loss"]["12"], rel=0.1)
    assert unsloth["shapes"] == peft["shapes"]
    assert unsloth["config"]["use_rslora"] is peft["config"]["use_rslora"] is True
    assert 0 < unsloth["peak_memory_bytes"] <= peft["peak_memory_bytes"]


@pytest.mark.parametrize("method", ["kto", "orpo", "simpo"])
def test_every_method_runs_and_resumes(ran: Callable[..., dict[str, Any]], method: str) -> None:
    """Its loss falls, and a stopped run goes on to the end."""
    run = ran(method, "unsloth", {"optimizer": OPTIMIZER}, "7")
    assert list(run["train_loss"]) == [str(step) for step in range(1, 13)]
    assert run["train_loss"]["12"] < run["train_loss"]["1"]
