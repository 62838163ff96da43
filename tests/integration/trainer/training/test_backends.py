"""What the backends load: adapters scaled as asked, DoRA, and one seam for both."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from unit.trainer.test_backends import REQUEST

from burnish.schemas.training.hyperparameters import LoraSpec
from burnish_trainer.worker.backends import peft, unsloth

pytestmark = pytest.mark.model


@pytest.mark.parametrize(("options", "scale"), [({}, 8 / 4), ({"use_rslora": True}, 8 / 4**0.5)])
def test_the_adapter_is_scaled_as_asked(tiny_base: Path, options: dict[str, bool], scale: float) -> None:
    """alpha / rank; with rsLoRA alpha / sqrt(rank) (Kalajdzievski 2023), in the layers and in the saved config."""
    lora = LoraSpec.model_validate({"rank": 4, "alpha": 8, **options})
    model = peft.load(replace(REQUEST, folder=tiny_base, lora=lora, quantization="none", device="cpu", dtype="float32"))
    scales = {module.scaling["default"] for module in model.modules() if hasattr(module, "lora_A")}
    assert scales == {scale}
    assert model.peft_config["default"].use_rslora is bool(options)


def test_dora_has_a_magnitude_for_every_layer_and_starts_as_the_base(tiny_base: Path) -> None:
    lora = LoraSpec.model_validate({"rank": 4, "use_dora": True})
    model = peft.load(replace(REQUEST, folder=tiny_base, lora=lora, quantization="none", device="cpu", dtype="float32"))
    magnitudes = [name for name, _ in model.named_parameters() if "lora_magnitude_vector" in name]
    assert len(magnitudes) == 2 * 7
    ids = torch.arange(10, 20)[None]
    with torch.no_grad(), model.disable_adapter():
        base = model(ids).logits
    torch.testing.assert_close(model(ids).logits, base, rtol=1e-4, atol=1e-4)


def test_what_unsloth_has_no_name_for_reaches_peft() -> None:
    """get_peft_model hands its other keywords to LoraConfig (record_unsloth.py fails if it does not); there the name must be one."""
    assert "use_dora" in inspect.signature(LoraConfig).parameters


def test_both_backends_are_one_seam() -> None:
    for function in ("prepare", "load"):
        peft_side, unsloth_side = (inspect.signature(getattr(module, function)) for module in (peft, unsloth))
        assert list(peft_side.parameters) == list(unsloth_side.parameters)
