"""LoRA arithmetic on CPU, grouped by adapter: each adapter's rows are multiplied once, rows of the base are left alone.

Named by `register` of this package and created by vLLM in its worker. Nothing else imports it (torch, vllm).
Axes: T tokens of the batch, I input and O output features, R rank, S adapter slots. Stacked weights are (S, 1, O, R) etc.
Upstream gathers a copy of the weights for every token instead, in fp32, and gives base rows (index -1) the last slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

Rows = slice | torch.Tensor
Groups = list[tuple[int, Rows]]


def group_rows(slot_of_row_T: torch.Tensor) -> Groups:
    """(slot, rows) for each adapter in the batch; rows is a slice if they are consecutive. Index -1, the base, has no group."""
    groups: Groups = []
    for slot in torch.unique(slot_of_row_T).tolist():
        if slot < 0:
            continue
        rows = torch.nonzero(slot_of_row_T == slot).flatten()
        first, last = int(rows[0]), int(rows[-1])
        groups.append((slot, slice(first, last + 1) if last - first + 1 == len(rows) else rows))
    return groups


def add_product(y_TO: torch.Tensor, rows: Rows, h: torch.Tensor, b_OR: torch.Tensor) -> None:
    """y[rows] += h @ b.T, in place; y is a view into the layer's output. Columns that only one side has as padding are left alone."""
    width = min(y_TO.shape[1], b_OR.shape[0])
    h, b_RO = h.to(y_TO.dtype), b_OR[:width].t().to(y_TO.dtype)
    if isinstance(rows, slice):
        y_TO[rows, :width].addmm_(h, b_RO)
    else:
        y_TO[:, :width].index_add_(0, rows, h @ b_RO)


class GroupedPunicaWrapper(PunicaWrapperCPU):  # type: ignore[misc]
    """Groups are made once a step, in `update_metadata`; every layer of the step uses them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.token_groups: Groups = []
        self.sampler_groups: Groups = []

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        super().update_metadata(*args, **kwargs)
        self.token_groups = group_rows(self.token_lora_indices)
        self.sampler_groups = group_rows(self.sampler_indices)

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: Sequence[torch.Tensor],
        lora_b_stacked: Sequence[torch.Tensor],
        scale: float,
        output_slices: Sequence[int],
        **kwargs: Any,
    ) -> None:
        """y[:, slice i] += scale * (x @ A_i.T) @ B_i.T for the rows of each adapter, in the model's dtype."""
        for slot, rows in self.token_groups:
            x_rows = x[rows]
            start = 0
            for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                h = x_rows @ a[slot, 0].t()
                add_product(y[:, start : start + width], rows, h if scale == 1.0 else h * scale, b[slot, 0])
                start += width

    def add_shrink(
        self,
        y: Sequence[torch.Tensor],
        x: torch.Tensor,
        lora_a_stacked: Sequence[torch.Tensor],
        scale: float,
        **kwargs: Any,
    ) -> None:
        """y_i[rows] = scale * x @ A_i.T; y_i is (T, R), the rows of the base stay as they are."""
        x_TI = x.view(-1, x.shape[-1])
        for slot, rows in self.token_groups:
            for buffer, a in zip(y, lora_a_stacked, strict=True):
                buffer[rows, : a.shape[-2]] = (scale * (x_TI[rows] @ a[slot, 0].t())).to(buffer.dtype)

    def add_expand(
        self,
        y: torch.Tensor,
        x: Sequence[torch.Tensor],
        lora_b_stacked: Sequence[torch.Tensor],
        output_slices: Sequence[int],
        offset_start: int = 0,
        add_inputs: bool = True,
        **kwargs: Any,
    ) -> None:
        """y[rows, slice i] (+)= x_i @ B_i.T."""
        y_TO = y.view(-1, y.shape[-1])
        for slot, rows in self.token_groups:
            start = offset_start
            for buffer, b, width in zip(x, lora_b_stacked, output_slices, strict=True):
                if not add_inputs:
                    y_TO[rows, start : start + width] = 0
                add_product(y_TO[:, start : start + width], rows, buffer[rows], b[slot, 0])
                start += width

    def add_lora_embedding(
        self, y: torch.Tensor, x: torch.Tensor, lora_b_stacked: torch.Tensor, add_inputs: bool = True, **kwargs: Any
    ) -> None:
        """y[rows] += x @ B.T; x holds the looked-up rows of A, which are garbage for tokens of the base."""
        self.add_expand(y, (x,), (lora_b_stacked,), (y.shape[-1],), add_inputs=add_inputs)

    def add_lora_logits(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        scale: float,
        **kwargs: Any,
    ) -> None:
        """As add_lora_linear, for the rows that are sampled."""
        y_TO, x_TI = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for slot, rows in self.sampler_groups:
            h = scale * (x_TI[rows] @ lora_a_stacked[slot, 0].t())
            add_product(y_TO, rows, h, lora_b_stacked[slot, 0])
