"""Causal attention over rows laid end to end, by matrix products: for CPUs, whose fused kernel is slow backwards.

Registered with transformers under NAME. There is no padding; which tokens see which is rows.py's.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface

from burnish_trainer.worker.kernels.rows import Rows

NAME = "burnish_rows"


def use_row_attention(model: Any) -> None:
    """Switch the model to it. Its forward must then be given `rows`, and input of batch size 1."""
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation(NAME)


def _no_mask(*_: Any, **__: Any) -> None:
    return None


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    rows: Rows,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """query [1, heads, tokens, width], key and value [1, key_heads, tokens, width] -> [1, tokens, heads, width]."""
    factor = scaling if scaling is not None else 1 / math.sqrt(query.shape[-1])
    output = _RowAttention.apply(query[0], key[0], value[0], rows, factor)  # type: ignore[no-untyped-call]
    return output.transpose(0, 1).unsqueeze(0), None


class _RowAttention(torch.autograd.Function):
    """softmax(scaling · Q Kᵀ + mask) V, row by row; the weights are computed again in the backward pass.

    So no more than one row's weights are ever held. Heads that share a key head (grouped queries) go into one product.
    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.1; Ainslie et al. 2023 (arXiv 2305.13245), section 2.2.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        rows: Rows,
        scaling: float,
    ) -> torch.Tensor:
        output = torch.empty(query.shape[1], query.shape[0], query.shape[2], dtype=query.dtype, device=query.device)
        output = output.transpose(0, 1)
        for (start, end), mask in zip(rows.spans(), rows.masks(query), strict=True):
            q, k, v = _grouped(query, key, start, end), key[:, start:end], value[:, start:end]
            attended = _weights(q, k, scaling, mask) @ v
            output[:, start:end] = attended.view(query.shape[0], end - start, -1)
        ctx.save_for_backward(query, key, value)
        ctx.rows, ctx.scaling = rows, scaling
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value = ctx.saved_tensors
        for_query, for_key, for_value = (torch.empty_like(part) for part in (query, key, value))
        for (start, end), mask in zip(ctx.rows.spans(), ctx.rows.masks(query), strict=True):
            q, k, v = _grouped(query, key, start, end), key[:, start:end], value[:, start:end]
            weights = _weights(q, k, ctx.scaling, mask)
            g = _grouped(gradient, key, start, end)
            for_value[:, start:end] = weights.transpose(1, 2) @ g
            for_scores = torch._softmax_backward_data(g @ v.transpose(1, 2), weights, -1, weights.dtype)
            for_scores.mul_(ctx.scaling)
            for_query[:, start:end] = (for_scores @ k).view(query.shape[0], end - start, -1)
            for_key[:, start:end] = for_scores.transpose(1, 2) @ q
        return for_query, for_key, for_value, None, None


def _grouped(query: torch.Tensor, key: torch.Tensor, start: int, end: int) -> torch.Tensor:
    """One row's queries by key head: [key_heads, group · length, width]."""
    return query[:, start:end].reshape(key.shape[0], -1, query.shape[2])


def _weights(query: torch.Tensor, key: torch.Tensor, scaling: float, mask: torch.Tensor) -> torch.Tensor:
    """One row's attention weights: [key_heads, group · length, length]."""
    length = key.shape[1]
    scores = (query * scaling) @ key.transpose(1, 2)
    scores.view(-1, length, length).add_(mask)
    return torch.softmax(scores, dim=-1)
