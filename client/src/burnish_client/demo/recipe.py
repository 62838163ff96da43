"""How big the demo is and how it trains. Every value goes through a public option; none is chosen by the outcome."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Sizes and training options of one demo.

    The learning rate is above the product's default (1e-4, three passes): a demo has minutes on two cores, not an hour.
    """

    questions: int
    held_out_share: float
    anchor_ratio: float
    anchor_pool_share: float
    learning_rate: float
    training_steps: int
    evaluation_interval_steps: int
    batch_size: int = 8
    gradient_accumulation_steps: int = 1
    rank: int = 32
    base_samples: int = 2
    concurrency: int = 32


FULL = Recipe(
    questions=280,
    held_out_share=0.3,
    anchor_ratio=0.8,
    anchor_pool_share=0.6,
    learning_rate=4e-4,
    training_steps=44,
    evaluation_interval_steps=11,
)
SMALL = Recipe(
    questions=64,
    held_out_share=0.4,
    anchor_ratio=0.5,
    anchor_pool_share=0.6,
    learning_rate=1e-3,
    training_steps=24,
    evaluation_interval_steps=8,
)
