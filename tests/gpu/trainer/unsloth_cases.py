"""Training through Unsloth on a CUDA device: that the seam holds with the real library.

On such a machine this would show that `auto` chooses Unsloth, that SFT and DPO give plain adapters with every projection,
and that a resumed run goes on from its checkpoint.
"""

from __future__ import annotations

import inspect
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from integration.trainer.training.runs import Runner

from burnish.schemas.training.hyperparameters import TARGET_MODULES, LoraSpec
from burnish_trainer.worker import backends
from burnish_trainer.worker.backends import unsloth

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.model,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(find_spec("unsloth") is None, reason="the unsloth package is not installed"),
]


@pytest.fixture
def runner(base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(base_model_dir, lambda: tmp_path_factory.mktemp("job"), device="cuda")


def test_auto_chooses_unsloth() -> None:
    assert backends.choose("auto", "cuda").name == "unsloth"


def test_the_installed_functions_take_our_arguments() -> None:
    from unsloth import FastLanguageModel

    request = backends.ModelRequest(
        folder=Path("/base"),
        lora=LoraSpec.model_validate({"rank": 16}),
        quantization="none",
        device="cuda",
        dtype="bfloat16",
        max_length=512,
        seed=0,
    )
    inspect.signature(FastLanguageModel.get_peft_model).bind(None, **unsloth.adapter_arguments(request))
    inspect.signature(FastLanguageModel.from_pretrained).bind(**unsloth.base_arguments(request, request.folder))


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_sft_gives_a_plain_adapter(runner: Runner, quantization: str) -> None:
    run = runner.sft(quantization=quantization, optimizer={"max_steps": 8, "learning_rate": 2e-3})
    assert run.manifest().backend == "unsloth"
    assert run.series("train_loss")[8] < run.series("train_loss")[1]
    assert {name.split(".")[-3] for name in run.weights()} == set(TARGET_MODULES)


def test_dpo_goes_on_from_an_sft_adapter(runner: Runner) -> None:
    sft = runner.sft(optimizer={"max_steps": 4, "learning_rate": 2e-3})
    run = runner.dpo(
        params={"initial_adapter": {"name": sft.spec.adapter_name, "version": sft.version}}, store=sft.store
    )
    assert set(run.weights()) == set(sft.weights())


def test_a_stopped_run_goes_on(runner: Runner) -> None:
    stopped = runner.sft(optimizer={"max_steps": 8, "evaluation_interval_steps": 4}, stop_at=5)
    resumed = stopped.again()
    assert list(resumed.series("train_loss")) == list(range(1, 9))
