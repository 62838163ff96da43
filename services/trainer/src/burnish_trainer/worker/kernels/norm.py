"""Root-mean-square norm with a frozen weight as one step of the graph: half the passes over memory that autograd makes."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.autograd.function import once_differentiable

NORMS = ("LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm", "SmolLM3RMSNorm")  # all the same code


def fuse_norms(model: torch.nn.Module) -> int:
    """Give the model's norms the fused forward, in place; returns how many there were."""
    norms = [module for module in model.modules() if type(module).__name__ in NORMS]
    for norm in norms:
        norm.forward = MethodType(_forward, norm)
    return len(norms)


def _forward(norm: Any, hidden: torch.Tensor) -> torch.Tensor:
    output: torch.Tensor = _RmsNorm.apply(hidden, norm.weight, norm.variance_epsilon)  # type: ignore[no-untyped-call]
    return output


class _RmsNorm(torch.autograd.Function):
    """y = weight · x / √(mean(x²) + epsilon) along the last axis, in fp32, rounded where transformers rounds.

    Source: Zhang and Sennrich 2019 (arXiv 1910.07467), equation 4.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        wide = x.float()
        scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        output: torch.Tensor = (wide * scale).to(x.dtype).mul_(weight)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        wide, normed_gradient = x.float(), (gradient * weight).float()
        along = torch.linalg.vecdot(normed_gradient, wide).unsqueeze(-1)
        along.mul_(scale.pow(3)).div_(x.shape[-1])
        return normed_gradient.mul(scale).addcmul_(wide, along, value=-1).to(x.dtype), None, None
