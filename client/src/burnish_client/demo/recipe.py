"""How big the demo is and how it trains. Every value goes through a public option; none is chosen by the outcome."""

from __future__ import annotations

from dataclasses import dataclass

from burnish_client.demo.stdlib_benchmark import TARGET_WEIGHT


@dataclass(frozen=True)
class Recipe:
    """Sizes and training options of one demo. None: the product's default."""

    questions: int
    held_out_share: float
    anchor_ratio: float
    anchor_pool_share: float
    learning_rate: float | None = None
    training_steps: int | None = None
    target_weight: int = TARGET_WEIGHT
    base_samples: int = 2
    concurrency: int = 32


FULL = Recipe(
    questions=480,
    target_weight=4,  # 120 of the kind that fails, 360 others: enough that pass for replay rows and for the verdict
    held_out_share=0.3,
    anchor_ratio=1.4,
    anchor_pool_share=0.7,
)
SMALL = Recipe(
    questions=64,
    held_out_share=0.4,
    anchor_ratio=0.5,
    anchor_pool_share=0.6,
    learning_rate=1e-3,
    training_steps=24,
)
