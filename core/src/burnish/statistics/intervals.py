"""Confidence interval of a paired difference of proportions."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.stats import norm


def tango_interval(gained: int, lost: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided score interval of delta = (gained − lost) / n over n pairs, of which gained + lost are discordant.

    Holds its level for small n and for no discordant pair, where Wald's collapses to a point. n = 0 gives (-1, 1):
    nothing is known. The interval contains the estimate and lies in [-1, 1].
    Source: Tango 1998, Statistics in Medicine 17:891–908, equations 6 to 10 (there b and c are the discordant counts).
    """
    if min(gained, lost) < 0 or gained + lost > n:
        raise ValueError(f"gained {gained} and lost {lost} do not fit n {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    if n == 0:
        return -1.0, 1.0
    critical = float(norm.ppf(0.5 + confidence / 2))
    estimate = (gained - lost) / n

    def excess(delta: float) -> float:
        return _score(gained, lost, n, delta) - critical

    def shortfall(delta: float) -> float:
        return _score(gained, lost, n, delta) + critical

    # The score falls from +inf to -inf as delta rises through (-1, 1) and is 0 at the estimate.
    low = -1.0 if gained - lost == -n else float(brentq(excess, -1.0 + 1e-12, estimate, xtol=1e-12))
    high = 1.0 if gained - lost == n else float(brentq(shortfall, estimate, 1.0 - 1e-12, xtol=1e-12))
    return low, high


def _score(gained: int, lost: int, n: int, delta: float) -> float:
    """Tango's score statistic for H0: true difference = delta. 0 at the estimate.

    The nuisance probability q (of a loss) is at its maximum likelihood under H0, where a gain has probability q + delta:
    the larger root of 2n q² + B q − lost · delta (1 − delta) = 0, B = −gained − lost + (2n − gained + lost) · delta.
    """
    b = -gained - lost + (2 * n - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    q = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    distance = gained - lost - n * delta
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)
