"""The ranks that vLLM is started with."""

from __future__ import annotations

import pytest

from burnish.serving import DEFAULT_MAX_LORA_RANK, LORA_RANKS, max_lora_rank_for


@pytest.mark.parametrize(("rank", "setting"), [(1, 1), (2, 8), (8, 8), (33, 64), (512, 512), (513, None)])
def test_the_smallest_setting_that_serves_a_rank(rank: int, setting: int | None) -> None:
    assert max_lora_rank_for(rank) == setting


def test_the_default_is_one_of_them() -> None:
    assert DEFAULT_MAX_LORA_RANK in LORA_RANKS
