"""Confidence intervals of a paired difference of proportions, and what clusters of questions do to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import norm, t

from burnish.statistics.sign_flip import cluster_sums

Clusters = Sequence[object] | ArrayLike | None
DOUBT = 4  # discordant clusters whose weight the worst case has against the estimate of the design effect


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

    differences: (N,) candidate − base in [-1, 1] a question. Tango's interval on `effective_counts`, each over the design effect.
    Source: Rao & Scott 1992, Biometrics 48:577–585 (effective counts); Tango 1998.
    """
    gained, lost, n = effective_counts(differences, design_effect(differences, clusters))
    return tango_interval(gained, lost, n, confidence)


def effective_counts(differences: ArrayLike, effect: float) -> tuple[float, float, float]:
    """(gained, lost, n) over a design effect: the pass/fail pairs with the same mean and sum of squares as the differences.

    For differences of −1, 0 and 1 these are the plain counts. Means over several samples count less than one each, but n stays:
    averaging takes the noise out of a question, it does not make two questions of one, and a harm that no question
    shows can hide in as many as before. Where the squares fall short of |sum| (all small, all one way), it is taken instead.
    """
    array = np.asarray(differences, dtype=np.float64)
    net = float(array.sum())
    discordant = _discordant(array)
    return (discordant + net) / 2 / effect, (discordant - net) / 2 / effect, array.size / effect


def _discordant(array: NDArray[np.float64]) -> float:
    return max(float((array**2).sum()), abs(float(array.sum())))


def design_effect(differences: ArrayLike, clusters: Clusters = None) -> float:
    """Variance of the mean difference over that of independent pass/fail pairs with the same `effective_counts`.

    differences: (N,) in [-1, 1]; clusters: (N,) labels, None = each alone. The variance is cluster-robust (between cluster
    sums, C / (C − 1)), times (t quantile with C − 1 degrees / normal quantile)² at 97.5 %, because few clusters know their own
    variance badly. At least 1, and exactly 1 where each question stands alone or where nothing or everything is
    discordant in one direction (no variance to compare); N, one independent question in all, for a single cluster.
    Source: Rao & Scott 1992, Biometrics 48:577–585, section 2.
    """
    array = np.asarray(differences, dtype=np.float64)
    n, sums = array.size, cluster_sums(array, clusters)
    independent = _discordant(array) - float(array.sum()) ** 2 / n if n else 0.0
    if n == 0 or independent <= 1e-12 or sums.size == n:
        return 1.0
    if sums.size == 1:
        return float(n)
    counts = cluster_sums(np.ones(n), clusters)
    count = sums.size
    robust = float(((sums - counts * array.mean()) ** 2).sum()) * count / (count - 1)
    return float(np.clip(robust * _few_clusters(count) / independent, 1.0, n))


def prudent_design_effect(differences: ArrayLike, clusters: Clusters = None) -> float:
    """`design_effect`, drawn to the worst case where few clusters are discordant and nothing is known of how they hang together.

    The worst case: a cluster stands or falls as one (sum of squared sizes over N). It weighs like four discordant clusters;
    differences that averaging made small do not count as whole ones.
    """
    array = np.asarray(differences, dtype=np.float64)
    if array.size == 0:
        return 1.0
    effect = design_effect(array, clusters)
    worst = float((cluster_sums(np.ones(array.size), clusters) ** 2).sum()) / array.size
    if worst <= 1:
        return effect
    discordant = min(float((cluster_sums(np.abs(array), clusters) > 0).sum()), _discordant(array))
    return max(effect, (discordant * effect + DOUBT * worst) / (discordant + DOUBT))


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
