"""QLoRA on a CPU: gradients are those of the same weights unquantised, and a run trains to an ordinary adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from integration.trainer.training.runs import Runner

from burnish.schemas.training.hyperparameters import LoraSpec, Quantization
from burnish_trainer.worker.backends import ModelRequest, peft

pytestmark = pytest.mark.model


def lora_gradients(base: Path, quantization: Quantization) -> torch.Tensor:
    """Gradients of every LoRA weight as one vector, after a first forward without gradients (an evaluation, say)."""
    request = ModelRequest(
        folder=base,
        lora=LoraSpec(rank=4),  # type: ignore[call-arg]
        quantization=quantization,
        device="cpu",
        dtype="bfloat16",
        max_length=64,
        seed=3,
    )
    model = peft.load(request)
    ids = torch.arange(100, 164).reshape(4, 16)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # else every gradient of an A is zero
            parameter.data = torch.full_like(parameter.data, 0.01)
    with torch.no_grad():
        model(ids)
    model(ids, labels=ids).loss.backward()
    return torch.cat([p.grad.float().flatten() for p in model.parameters() if p.requires_grad and p.grad is not None])


def test_gradients_point_where_the_unquantised_ones_do(tiny_base: Path) -> None:
    """Cosine about 0.99 as NF4 allows; with bitsandbytes' repacked weights it is near 0."""
    plain, quantised = (lora_gradients(tiny_base, quantization) for quantization in ("none", "nf4"))
    assert torch.nn.functional.cosine_similarity(plain, quantised, dim=0) > 0.9


def test_a_quantised_run_trains_an_ordinary_adapter(runner: Runner) -> None:
    run = runner.sft(
        quantization="nf4", optimizer={"max_steps": 6, "evaluation_interval_steps": 3, "learning_rate": 1e-2}
    )
    losses = run.series("train_loss")
    assert losses[6] < 0.97 * losses[1]
    assert run.manifest().quantization == "nf4"
    assert all(weight.dtype == torch.float32 for weight in run.weights().values())
    stopped = runner.sft(spec=run.spec, store=run.store, stop_at=3)
    assert stopped.again().version == run.version
