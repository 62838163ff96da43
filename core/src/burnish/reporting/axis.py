"""The scale that intervals are drawn on: a range with round ticks, and positions on it in per cent of its width."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MOST_TICKS = 8
ROOM = 0.06  # share of the span left free at either end, so that no dot is cut
EDGE = 0.03  # share of the span at either end without a tick, so that its label stays within the drawing


@dataclass(frozen=True)
class Axis:
    """low < high. Ticks are multiples of one of 1, 2, 5 · 10^k and include 0."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def position(self, value: float) -> str:
        """Distance from the left end in per cent, within [0, 100]."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(1.0, max(0.0, share)):.2f}"

    def right(self, value: float) -> str:
        """Distance from the right end in per cent."""
        return f"{100 - float(self.position(value)):.2f}"


def axis_over(values: Iterable[float | None], least_span: float) -> Axis:
    """An axis over 0 and the values, None passed over, at least `least_span` long."""
    known = [0.0, *(value for value in values if value is not None)]
    low, high = min(known), max(known)
    missing = max(0.0, least_span - (high - low)) / 2
    low, high = low - missing, high + missing
    low, high = low - ROOM * (high - low), high + ROOM * (high - low)
    step = _step(high - low)
    first, last = math.ceil((low + EDGE * (high - low)) / step), math.floor((high - EDGE * (high - low)) / step)
    return Axis(low, high, tuple(round(step * i, 10) + 0.0 for i in range(first, last + 1)))


def _step(span: float) -> float:
    """The smallest round step that gives at most MOST_TICKS ticks."""
    magnitude = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
    return next(m * magnitude for m in (1, 2, 5, 10, 20) if span / (m * magnitude) <= MOST_TICKS - 1)
