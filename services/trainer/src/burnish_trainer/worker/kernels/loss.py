"""Log-probabilities of tokens from logits at their positions alone: with prompts masked, a fraction of all positions.

What an SFT loss sums, and a preference loss compares. kernels/trainer.py has the trainers that use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils.generic import ModelOutput

from burnish_trainer.data.tokens import MASKED
from burnish_trainer.worker.kernels.rows import Layout, as_it_is, end_to_end

CHUNK_ELEMENTS = 2**24  # logits held at a time: 64 MiB in fp32


@dataclass
class CompletionOutput(ModelOutput):
    """log_probabilities: [rows], of each row's completion given its prompt, summed over its tokens, in nats."""

    log_probabilities: torch.Tensor | None = None


def use_label_loss(model: Any, flat: bool) -> None:
    """Give a causal language model a forward that takes logits where they are needed, and returns none.

    With `labels` it returns their loss: the sum over the labelled tokens by num_items_in_batch, or their mean without it.
    With `completion_mask` (1 at a completion's tokens, which end the row) it returns CompletionOutput.
    flat: lay the rows end to end, and a prompt that completions share once; the model's attention must be attention.py's.
    Rows are padded on the right.
    """
    original = model.forward
    head = model.get_output_embeddings().weight

    def forward(
        self: Any,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        completion_mask: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs: Any,
    ) -> Any:
        if input_ids is not None and attention_mask is not None and labels is not None:
            layout = end_to_end(input_ids, attention_mask, None) if flat else as_it_is(input_ids, attention_mask)
            tokens = torch.cat(_token_log_probabilities(self, head, layout, input_ids, labels != MASKED))
            loss: Any = -tokens.sum() / (len(tokens) if num_items_in_batch is None else num_items_in_batch)
            return CausalLMOutputWithPast(loss=loss)
        if input_ids is not None and attention_mask is not None and completion_mask is not None:
            wanted = completion_mask.bool()
            prompts = (attention_mask.sum(dim=1) - wanted.sum(dim=1)).tolist()
            layout = end_to_end(input_ids, attention_mask, prompts) if flat else as_it_is(input_ids, attention_mask)
            rows = _token_log_probabilities(self, head, layout, input_ids, wanted)
            return CompletionOutput(log_probabilities=torch.stack([row.sum() for row in rows]))
        return original(input_ids=input_ids, attention_mask=attention_mask, labels=labels, **kwargs)

    model.forward = MethodType(forward, model)


def _token_log_probabilities(
    model: Any, head: torch.Tensor, layout: Layout, input_ids: torch.Tensor, wanted: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Of each row's wanted tokens, given what comes before them; a row's first token has none."""
    hidden = model.base_model(**layout.inputs, use_cache=False).last_hidden_state
    wanted = wanted[:, 1:]
    before = layout.place[:, :-1][wanted]
    tokens = label_log_probabilities(hidden.reshape(-1, hidden.shape[-1])[before], head, input_ids[:, 1:][wanted])
    return torch.split(tokens, wanted.sum(dim=1).tolist())


def label_log_probabilities(
    hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, chunk_elements: int = CHUNK_ELEMENTS
) -> torch.Tensor:
    """log softmax(hidden headᵀ)[target] of n tokens: hidden [n, width], head [vocabulary, width], targets [n] -> [n].

    n may be 0. The head gets no gradient.
    """
    found: torch.Tensor = _LogProbabilities.apply(hidden, head, targets, chunk_elements)  # type: ignore[no-untyped-call]
    return found


class _LogProbabilities(torch.autograd.Function):
    """In fp32 from the logits on. The gradient is taken on the way forward, so that one chunk's logits are held at a time."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, chunk_elements: int
    ) -> torch.Tensor:
        found = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        size = max(1, chunk_elements // head.shape[0])
        for start in range(0, len(hidden), size):
            part, target = hidden[start : start + size].to(head.dtype), targets[start : start + size].unsqueeze(1)
            logits = (part @ head.T).float()
            normaliser = logits.logsumexp(dim=1, keepdim=True)
            found[start : start + size] = (logits.gather(1, target) - normaliser).squeeze(1)
            if gradient is not None:
                probabilities = logits.sub_(normaliser).exp_()
                probabilities.scatter_add_(1, target, torch.full_like(normaliser, -1))
                gradient[start : start + size] = probabilities.to(head.dtype) @ head
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (against,) = ctx.saved_tensors
        return (against * -gradient.unsqueeze(1)).to(against.dtype), None, None, None
