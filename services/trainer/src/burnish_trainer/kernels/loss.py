"""The language-model loss from logits at the labelled positions alone: with prompts masked, a fraction of all positions."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from transformers.modeling_outputs import CausalLMOutputWithPast

from burnish_trainer.tokens import MASKED

CHUNK_ELEMENTS = 2**24  # logits held at a time: 64 MiB in fp32


def use_label_loss(model: Any, flat: bool) -> None:
    """Give a causal language model a forward that, where labels are given, returns their loss and no logits.

    flat: lay the rows end to end without their padding; the model's attention must be attention.py's then.
    Rows are padded on the right. Loss: the sum over the labelled tokens by num_items_in_batch, or their mean without it.
    """
    original = model.forward
    head = model.get_output_embeddings().weight

    def forward(
        self: Any,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs: Any,
    ) -> Any:
        if labels is None or input_ids is None or attention_mask is None:
            return original(input_ids=input_ids, attention_mask=attention_mask, labels=labels, **kwargs)
        if flat:
            inputs = _end_to_end(input_ids, attention_mask)
        else:
            inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        hidden = self.base_model(**inputs, use_cache=False).last_hidden_state
        targets = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=MASKED)
        targets = targets[attention_mask.bool()] if flat else targets.flatten()
        hidden = hidden.reshape(-1, hidden.shape[-1])
        labelled = (targets != MASKED).nonzero().squeeze(-1)
        total = label_cross_entropy(hidden[labelled], head, targets[labelled])
        loss: Any = total / (len(labelled) if num_items_in_batch is None else num_items_in_batch)
        return CausalLMOutputWithPast(loss=loss)

    model.forward = MethodType(forward, model)


def _end_to_end(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, Any]:
    """All rows in one, positions from 0 in each; and how long each was."""
    present = attention_mask.bool()
    positions = attention_mask.long().cumsum(dim=1) - 1
    return {
        "input_ids": input_ids[present].unsqueeze(0),
        "position_ids": positions[present].unsqueeze(0),
        "row_lengths": present.sum(dim=1).tolist(),
    }


def label_cross_entropy(
    hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, chunk_elements: int = CHUNK_ELEMENTS
) -> torch.Tensor:
    """Sum over n tokens of -log softmax(hidden headᵀ)[target]: hidden [n, width], head [vocabulary, width], targets [n].

    n may be 0: the loss is 0 then. The head gets no gradient.
    """
    total: torch.Tensor = _CrossEntropy.apply(hidden, head, targets, chunk_elements)  # type: ignore[no-untyped-call]
    return total


class _CrossEntropy(torch.autograd.Function):
    """In fp32 from the logits on. The gradient is taken on the way forward, so that one chunk's logits are held at a time."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, chunk_elements: int
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        size = max(1, chunk_elements // head.shape[0])
        for start in range(0, len(hidden), size):
            part, target = hidden[start : start + size].to(head.dtype), targets[start : start + size].unsqueeze(1)
            logits = (part @ head.T).float()
            normaliser = logits.logsumexp(dim=1, keepdim=True)
            total += (normaliser - logits.gather(1, target)).sum()
            if gradient is not None:
                probabilities = logits.sub_(normaliser).exp_()
                probabilities.scatter_add_(1, target, torch.full_like(normaliser, -1))
                gradient[start : start + size] = probabilities.to(head.dtype) @ head
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (for_hidden,) = ctx.saved_tensors
        return for_hidden * gradient, None, None, None
