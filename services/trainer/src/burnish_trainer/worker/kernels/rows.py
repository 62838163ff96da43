"""How a padded batch is laid out for a model: end to end without padding and with a shared prompt once, or as it is.

Used by loss.py; attention.py computes over what is laid end to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import torch


@dataclass(frozen=True)
class Trunk:
    """Tokens that all read from the first on, and the lengths of what branches off behind them; no branch sees another."""

    length: int
    branches: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        return self.length + sum(self.branches)


@dataclass
class Rows:
    """Trunks laid end to end. Masks are made once for all layers of a forward and its backward pass."""

    trunks: Sequence[Trunk]
    _masks: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = field(default_factory=dict)

    def spans(self) -> list[tuple[int, int]]:
        """Start and end of each trunk with its branches."""
        ends = list(accumulate(trunk.tokens for trunk in self.trunks))
        return list(zip([0, *ends], ends, strict=False))

    def masks(self, like: torch.Tensor) -> list[torch.Tensor]:
        """For each span [length, length], to be added to the scores: minus infinity where the query may not see the key."""
        key = (like.dtype, like.device)
        if key not in self._masks:
            longest = max(trunk.tokens for trunk in self.trunks)
            causal = torch.full((longest, longest), -torch.inf, dtype=like.dtype, device=like.device).triu_(1)
            self._masks[key] = [_mask(trunk, causal) for trunk in self.trunks]
        return self._masks[key]


def _mask(trunk: Trunk, causal: torch.Tensor) -> torch.Tensor:
    mask = causal[: trunk.tokens, : trunk.tokens]
    if len(trunk.branches) < 2:
        return mask
    mask = mask.clone()
    ends = list(accumulate(trunk.branches, initial=trunk.length))
    for start, end in pairwise(ends):
        mask[start:end, trunk.length : start] = -torch.inf
    return mask


@dataclass(frozen=True)
class Layout:
    """inputs: for the model's body. place: [rows, width], where the token of a padded batch's row and column is in its
    output, flattened over batch and width; undefined at padding."""

    inputs: dict[str, Any]
    place: torch.Tensor


def as_it_is(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Layout:
    """Padded, for any attention."""
    place = torch.arange(input_ids.numel(), device=input_ids.device).view_as(input_ids)
    return Layout({"input_ids": input_ids, "attention_mask": attention_mask}, place)


def end_to_end(input_ids: torch.Tensor, attention_mask: torch.Tensor, prompt_lengths: Sequence[int] | None) -> Layout:
    """Without padding (which is on the right), for attention.py: every row by itself, positions from 0 in each.

    prompt_lengths: rows whose prompts are the same become branches of one trunk, so that the prompt is gone through once.
    Source of the sharing: Wang and Hegde 2024 (arXiv 2410.20305), section 3; there with a block-sparse attention kernel.
    """
    lengths = attention_mask.sum(dim=1).tolist()
    if prompt_lengths is None:
        groups = [(length, [row]) for row, length in enumerate(lengths)]
    else:
        groups = _by_prompt(input_ids.tolist(), prompt_lengths)
    trunks: list[Trunk] = []
    pieces: list[tuple[list[int], int, int]] = []  # rows that share them, first and last column, in the order laid out
    for prompt, rows in groups:
        trunks.append(Trunk(prompt, tuple(lengths[row] - prompt for row in rows)))
        pieces.append((rows, 0, prompt))
        pieces += [([row], prompt, lengths[row]) for row in rows]
    place = torch.zeros_like(input_ids)
    at = 0
    for rows, start, end in pieces:
        place[rows, start:end] = torch.arange(at, at + end - start, device=place.device)
        at += end - start
    ids = torch.cat([input_ids[rows[0], start:end] for rows, start, end in pieces])
    positions = torch.cat([torch.arange(start, end, device=place.device) for _, start, end in pieces])
    inputs = {"input_ids": ids.unsqueeze(0), "position_ids": positions.unsqueeze(0), "rows": Rows(trunks)}
    return Layout(inputs, place)


def _by_prompt(ids: list[list[int]], prompt_lengths: Sequence[int]) -> list[tuple[int, list[int]]]:
    """(prompt tokens, rows that have that prompt), in order of first appearance."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, length in enumerate(prompt_lengths):
        groups.setdefault(tuple(ids[row][:length]), []).append(row)
    return [(len(prompt), rows) for prompt, rows in groups.items()]
