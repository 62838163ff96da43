"""A LoRA layer's forward and backward as one step of the graph: no casts to fp32 and back, no separate scaling and adding."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners import lora
from torch.autograd.function import once_differentiable


def fuse_lora(model: torch.nn.Module) -> int:
    """Turn PEFT's LoRA layers over plain linear layers into fused ones, in place; returns how many there were.

    Left as they are: quantised layers, variants such as DoRA, layers with dropout or with a bias in LoRA.
    """
    layers = [module for module in model.modules() if type(module) is lora.Linear and _is_plain(module)]
    for layer in layers:
        layer.__class__ = FusedLora
    return len(layers)


def _is_plain(layer: Any) -> bool:
    adapters = list(layer.lora_A)
    return (
        type(layer.base_layer) is torch.nn.Linear
        and not layer.base_layer.weight.requires_grad
        and not layer.fan_in_fan_out
        and not layer.lora_variant
        and not any(layer.lora_bias[name] for name in adapters)
        and all(isinstance(layer.lora_dropout[name], torch.nn.Identity) for name in adapters)
    )


class FusedLora(lora.Linear):
    """peft's lora.Linear; the same result, to rounding, in a third of the operations if just one adapter is active."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        active = self.active_adapters
        if args or kwargs or self.disable_adapters or self.merged or len(active) != 1 or active[0] not in self.lora_A:
            result: torch.Tensor = super().forward(x, *args, **kwargs)
            return result
        name = active[0]
        base = self.base_layer
        a, b = self.lora_A[name].weight, self.lora_B[name].weight
        output: torch.Tensor = _LoraLinear.apply(x, base.weight, base.bias, a, b, self.scaling[name])  # type: ignore[no-untyped-call]
        return output


class _LoraLinear(torch.autograd.Function):
    """y = x Wᵀ + bias + scaling · (x Aᵀ) Bᵀ, all products in W's precision; W and bias are frozen.

    Shapes: x [*, in], W [out, in], A [rank, in], B [out, rank], y [*, out].
    Source: Hu et al. 2021, LoRA (arXiv 2106.09685), section 4.1; gradients by the chain rule.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        down, up = a.to(weight.dtype), (b * scaling).to(weight.dtype)
        lower = rows @ down.T
        output = torch.nn.functional.linear(rows, weight, bias).addmm_(lower, up.T)
        ctx.save_for_backward(rows, lower, weight, down, up)
        ctx.scaling, ctx.shape, ctx.dtypes = scaling, x.shape, (x.dtype, a.dtype, b.dtype)
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, lower, weight, down, up = ctx.saved_tensors
        x_dtype, a_dtype, b_dtype = ctx.dtypes
        gradient = gradient.reshape(-1, gradient.shape[-1]).to(weight.dtype)
        gradient_lower = gradient @ up
        for_x = for_a = for_b = None
        if ctx.needs_input_grad[0]:
            for_x = (gradient @ weight).addmm_(gradient_lower, down).view(ctx.shape).to(x_dtype)
        if ctx.needs_input_grad[3]:
            for_a = (gradient_lower.T @ rows).to(a_dtype)
        if ctx.needs_input_grad[4]:
            for_b = (gradient.T @ lower).to(b_dtype).mul_(ctx.scaling)
        return for_x, None, None, for_a, for_b, None
