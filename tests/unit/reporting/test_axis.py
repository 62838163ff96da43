"""The scale of the drawings: everything fits, ticks are round, nothing is as long as it is not."""

from __future__ import annotations

import math

import pytest

from burnish.reporting.axis import axis_over


@pytest.mark.parametrize(
    "values",
    [[], [None], [0.0], [0.665, 0.913], [-0.114, -0.005, -0.02], [-1.0, 1.0], [0.0003, 0.0004], [1e-9], [-3.5]],
)
@pytest.mark.parametrize("least_span", [0.1, 0.02])
def test_values_and_zero_fit_with_few_round_ticks(values: list[float | None], least_span: float) -> None:
    axis = axis_over(values, least_span)
    assert axis.high - axis.low >= least_span
    for value in [0.0, *(v for v in values if v is not None)]:
        assert axis.low < value < axis.high
        assert float(axis.position(value)) + float(axis.right(value)) == pytest.approx(100)
    assert 0.0 in axis.ticks
    assert 1 <= len(axis.ticks) <= 8
    assert all(math.copysign(1, tick) > 0 for tick in axis.ticks if tick == 0)


def test_positions_are_shares_of_the_width_and_stay_on_it() -> None:
    axis = axis_over([-0.5, 0.5], 0.1)
    assert (axis.low, axis.high) == pytest.approx((-0.56, 0.56))
    assert axis.ticks == (-0.4, -0.2, 0.0, 0.2, 0.4)
    assert axis.position(0.0) == "50.00"
    assert axis.position(-0.28) == "25.00"
    assert (axis.position(-9), axis.position(9)) == ("0.00", "100.00")
