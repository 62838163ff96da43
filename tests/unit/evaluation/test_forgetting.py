"""Which losses on the probe set are warned of."""

from __future__ import annotations

import pytest

from burnish.schemas.evaluation import Comparison, Forgetting, ProbeCategory
from burnish_client.evaluation.forgetting import forgetting_sentence


def compared(n: int, gained: int, lost: int, p_value: float) -> Comparison:
    delta = (gained - lost) / n
    return Comparison(
        n=n,
        base=0.5,
        candidate=0.5 + delta,
        delta=delta,
        ci_low=delta,
        ci_high=delta,
        p_value=p_value,
        gained=gained,
        lost=lost,
    )


@pytest.mark.parametrize(
    ("probe", "category_p", "low", "warns"),
    [
        (compared(100, 5, 6, 1.0), 1.0, 0.01, False),
        (compared(100, 0, 9, 0.004), 1.0, None, True),
        (compared(100, 9, 0, 0.004), 1.0, None, False),
        (compared(100, 5, 6, 1.0), 0.01, None, True),
        (compared(100, 5, 6, 1.0), 1.0, 0.051, True),
    ],
)
def test_only_a_clear_loss_is_warned_of(probe: Comparison, category_p: float, low: float | None, warns: bool) -> None:
    category = ProbeCategory(category="facts", **compared(20, 0, 4, category_p).model_dump())
    cross_entropy = (
        {} if low is None else {"delta_cross_entropy": low + 0.02, "delta_low": low, "delta_high": low + 0.04}
    )
    found = Forgetting(probe=probe, categories=[category], lost=["facts-01"], **cross_entropy)
    assert (forgetting_sentence(found) is not None) == warns
