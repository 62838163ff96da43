"""TRL's trainers for a model whose forward is loss.py's: without the statistics that need all logits."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer
from trl import DPOTrainer, SFTTrainer  # type: ignore[attr-defined]  # trl exports lazily


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


class PairLossTrainer(DPOTrainer):
    """DPO's sigmoid loss on rows that carry their reference's log-probabilities. It keeps TRL's figures of rewards and
    log-probabilities; entropy, mean logits and token accuracy, for which all logits are needed, it does not have."""

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool) -> Any:
        outputs = model(**{name: inputs[name] for name in ("input_ids", "attention_mask", "completion_mask")})
        chosen, rejected = outputs.log_probabilities.chunk(2)  # the collator puts all chosen before all rejected
        chosen_reward = self.beta * (chosen - inputs["ref_chosen_logps"])
        rejected_reward = self.beta * (rejected - inputs["ref_rejected_logps"])
        loss = -torch.nn.functional.logsigmoid(chosen_reward - rejected_reward).mean()
        self._note(
            {
                "rewards/chosen": chosen_reward,
                "rewards/rejected": rejected_reward,
                "rewards/accuracies": (chosen_reward > rejected_reward).float(),
                "rewards/margins": chosen_reward - rejected_reward,
                "logps/chosen": chosen,
                "logps/rejected": rejected,
            }
        )
        return (loss, outputs) if return_outputs else loss

    def _note(self, figures: dict[str, torch.Tensor]) -> None:
        """Means over all devices' rows, for `log`."""
        mode = "train" if torch.is_grad_enabled() else "eval"
        means = self.accelerator.gather(torch.stack(list(figures.values()), dim=1).detach()).mean(dim=0).tolist()
        for name, mean in zip(figures, means, strict=True):
            self._metrics[mode][name].append(mean)
