"""Unsloth beside PEFT on one CUDA device: the same training, for less memory.

On such a machine this would show, for SFT and DPO on the same rows, seed and shape: the first loss within 2 % (DPO: ln 2 in
both, since the reference pass is the policy's own forward), the validation loss at the end within 10 %, adapters of the same
tensors, and a peak of memory under Unsloth no higher than PEFT's; and that rsLoRA's scale is in both adapters' configs.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from integration.trainer.training.runs import Run, Runner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.model,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(find_spec("unsloth") is None, reason="the unsloth package is not installed"),
]

OPTIMIZER = {"max_steps": 12, "evaluation_interval_steps": 6, "learning_rate": 1e-3}
LORA = {"rank": 16, "use_rslora": True}


@pytest.fixture(scope="module")
def runner(base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(base_model_dir, lambda: tmp_path_factory.mktemp("job"), device="cuda")


def both(runner: Runner, method: str) -> tuple[Run, Run]:
    """(peft, unsloth). Unsloth comes last, since importing it patches what PEFT's run is made of."""
    peft, unsloth = (
        getattr(runner, method)(backend=backend, optimizer=OPTIMIZER, lora=LORA) for backend in ("peft", "unsloth")
    )
    return peft, unsloth


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_the_same_training_for_less_memory(runner: Runner, method: str) -> None:
    peft, unsloth = both(runner, method)
    first = peft.series("train_loss")[1]
    assert unsloth.series("train_loss")[1] == pytest.approx(first, rel=0.02)
    if method == "dpo":
        assert first == pytest.approx(math.log(2), abs=1e-3)
    assert unsloth.series("validation_loss")[12] == pytest.approx(peft.series("validation_loss")[12], rel=0.1)
    assert {name: weight.shape for name, weight in unsloth.weights().items()} == {
        name: weight.shape for name, weight in peft.weights().items()
    }
    assert unsloth.config()["use_rslora"] is peft.config()["use_rslora"] is True
    peaks = [run.manifest().training.peak_memory_bytes or 0 for run in (peft, unsloth)]
    assert 0 < peaks[1] <= peaks[0]


@pytest.mark.parametrize("method", ["kto", "orpo", "simpo"])
def test_every_method_runs_and_resumes(runner: Runner, method: str) -> None:
    """Its loss falls, and a stopped run goes on to the end."""
    run = getattr(runner, method)(backend="unsloth", optimizer=OPTIMIZER)
    assert run.series("train_loss")[12] < run.series("train_loss")[1]
    stopped = getattr(runner, method)(spec=run.spec, store=run.store, stop_at=7)
    assert list(stopped.again().series("train_loss")) == list(range(1, 13))
