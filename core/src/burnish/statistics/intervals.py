"""Confidence intervals of a paired difference of proportions, and what clusters of questions do to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import norm, t

from burnish.statistics.sign_flip import cluster_sums

Clusters = Sequence[object] | ArrayLike | None


def tango_interval(gained: float, lost: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided score interval of delta = (gained − lost) / n over n pairs, of which gained + lost are discordant.

    Holds its level for small n and for no discordant pair, where Wald's collapses to a point. n = 0 gives (-1, 1):
    nothing is known. The interval contains the estimate and lies in [-1, 1]. Counts may be real (effective counts).
    Source: Tango 1998, Statistics in Medicine 17:891–908, equations 6 to 10 (there b and c are the discordant counts).
    """
    if min(gained, lost) < 0 or gained + lost > n * (1 + 1e-9):
        raise ValueError(f"gained {gained} and lost {lost} do not fit n {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    if n == 0:
        return -1.0, 1.0
    critical = float(ndtri(0.5 + confidence / 2))
    estimate = (gained - lost) / n

    def excess(delta: float) -> float:
        return score(gained, lost, n, delta) - critical

    def shortfall(delta: float) -> float:
        return score(gained, lost, n, delta) + critical

    # The score falls from +inf to -inf as delta rises through (-1, 1) and is 0 at the estimate.
    low = -1.0 if estimate <= -1 + 1e-9 else float(brentq(excess, -1.0 + 1e-12, estimate, xtol=1e-12))
    high = 1.0 if estimate >= 1 - 1e-9 else float(brentq(shortfall, estimate, 1.0 - 1e-12, xtol=1e-12))
    return low, high


def paired_interval(differences: ArrayLike, clusters: Clusters = None, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of the mean difference that respects clusters and several samples a question.

    differences: (N,) candidate − base in [-1, 1] a question. Tango's interval on effective counts: gained (sum of the
    positive differences), lost (of the negative ones) and N, each over the design effect.
    Source: Rao & Scott 1992, Biometrics 48:577–585 (effective counts); Tango 1998.
    """
    gained, lost, n = effective_counts(differences, design_effect(differences, clusters))
    return tango_interval(gained, lost, n, confidence)


def effective_counts(differences: ArrayLike, effect: float) -> tuple[float, float, float]:
    """(gained, lost, n) over a design effect: what as many independent pass/fail pairs would have shown."""
    array = np.asarray(differences, dtype=np.float64)
    gained, lost = float(array[array > 0].sum()), float(-array[array < 0].sum())
    return gained / effect, lost / effect, array.size / effect


def design_effect(differences: ArrayLike, clusters: Clusters = None) -> float:
    """Variance of the mean difference over that of as many independent pass/fail pairs with the same gained and lost.

    differences: (N,) in [-1, 1]; clusters: (N,) labels, None = each alone. The variance is cluster-robust (between cluster
    sums, C / (C − 1)), times (t quantile with C − 1 degrees / normal quantile)² at 97.5 %, because few clusters know their own
    variance badly. At least 1 for pass/fail differences (−1, 0, 1), and exactly 1 where each stands alone; averaging over k
    samples may bring it down, as low as the smallest non-zero |difference| (1 / k). 1 where nothing or everything is
    discordant in one direction (no variance to compare); N, one independent question in all, for a single cluster.
    Source: Rao & Scott 1992, Biometrics 48:577–585, section 2.
    """
    array = np.asarray(differences, dtype=np.float64)
    n, sums = array.size, cluster_sums(array, clusters)
    independent = n * (float(np.abs(array).sum()) - float(array.sum()) ** 2 / n) / n if n else 0.0
    sizes = np.abs(array[array != 0])
    binary = bool((sizes == 1).all())
    if n == 0 or independent <= 1e-12 or (binary and sums.size == n):
        return 1.0
    if sums.size == 1:
        return float(n)
    counts = cluster_sums(np.ones(n), clusters)
    count = sums.size
    robust = float(((sums - counts * array.mean()) ** 2).sum()) * count / (count - 1)
    few = _few_clusters(count)
    least = 1.0 if binary else float(sizes.min())
    return float(np.clip(robust * few / independent, least, n))


@cache
def _few_clusters(count: int) -> float:
    """(t quantile with count − 1 degrees / normal quantile)² at 97.5 %."""
    return float(t.ppf(0.975, count - 1) / norm.ppf(0.975)) ** 2


def score(gained: float, lost: float, n: float, delta: float) -> float:
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
