"""What vLLM 0.32 takes, where trainer and inference must agree on it."""

from __future__ import annotations

from typing import Literal, get_args

LoraRank = Literal[1, 8, 16, 32, 64, 128, 256, 320, 512]  # the values of --max-lora-rank
LORA_RANKS: tuple[LoraRank, ...] = get_args(LoraRank)
DEFAULT_MAX_LORA_RANK: LoraRank = 32  # if BURNISH_INFERENCE_MAX_LORA_RANK is not set


def max_lora_rank_for(rank: int) -> LoraRank | None:
    """The smallest --max-lora-rank that serves an adapter of this rank; None if no setting does."""
    return next((allowed for allowed in LORA_RANKS if allowed >= rank), None)
