"""TRL's SFT trainer for a model whose forward gives the label loss: without the token statistics that need all logits."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer
from trl import SFTTrainer  # type: ignore[attr-defined]  # trl exports lazily


class LabelLossTrainer(SFTTrainer):
    """Train with SFTConfig(loss_type="nll"); the loss is what transformers' own trainer makes of the model's."""

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        inputs.pop("_prediction_loss_only", None)  # SFTTrainer.prediction_step's note to its own compute_loss
        return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
