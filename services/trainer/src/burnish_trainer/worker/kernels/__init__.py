"""Faster ways to compute the same training step, put onto a loaded model. docs/training-speed.md has what each one gives.

Used with the peft backend only: Unsloth has kernels of its own. Imports torch, so it must come after the backend's prepare.
"""

from __future__ import annotations

from typing import Any

import torch

from burnish_trainer.hardware.backends import Device
from burnish_trainer.worker.kernels.attention import use_row_attention
from burnish_trainer.worker.kernels.lora import fuse_lora
from burnish_trainer.worker.kernels.loss import use_label_loss
from burnish_trainer.worker.kernels.norm import fuse_norms

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "smollm3")  # logits are lm_head(hidden) and nothing more


def speed_up(model: Any, device: Device) -> bool:
    """Put what applies onto a peft.PeftModel with a frozen base, in place.

    Returns whether its forward is now loss.py's, which gives no logits: then train it with a trainer of kernels/trainer.py.
    An architecture that is not among ARCHITECTURES keeps its own loss and attention.
    """
    fuse_lora(model)
    fuse_norms(model)
    causal_lm = model.get_base_model()
    if causal_lm.config.model_type not in ARCHITECTURES or not _plain_head(causal_lm):
        return False
    flat = device == "cpu" and _attends_to_the_whole_row(causal_lm.config)
    if flat:
        use_row_attention(causal_lm)
    use_label_loss(causal_lm, flat)
    return True


def _plain_head(causal_lm: Any) -> bool:
    head = causal_lm.get_output_embeddings()
    return type(head) is torch.nn.Linear and head.bias is None and not head.weight.requires_grad


def _attends_to_the_whole_row(config: Any) -> bool:
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    windowed = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    return set(kinds) == {"full_attention"} and not windowed and not config.attention_dropout
