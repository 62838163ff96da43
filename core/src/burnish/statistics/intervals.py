"""Confidence intervals of a paired difference of proportions, and what groups of questions do to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from burnish.extras import Late
from burnish.statistics.sign_flip import group_sums

optimize = Late("scipy.optimize")
special = Late("scipy.special")
stats = Late("scipy.stats")

Groups = Sequence[object] | ArrayLike | None
DOUBT = 4  # discordant groups whose weight the worst case has against the estimate of the design effect


def tango_interval(fixed: float, regressed: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided score interval of delta = (fixed − regressed) / n over n pairs, of which fixed + regressed are discordant.

    Holds its level for small n and for no discordant pair, where Wald's collapses to a point. n = 0 gives (-1, 1):
    nothing is known. The interval contains the estimate and lies in [-1, 1]. Counts may be real (effective counts).
    Source: Tango 1998, Statistics in Medicine 17:891–908, equations 6 to 10 (there b and c are the discordant counts).
    """
    if min(fixed, regressed) < 0 or fixed + regressed > n * (1 + 1e-9):
        raise ValueError(f"fixed {fixed} and regressed {regressed} do not fit n {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    if n == 0:
        return -1.0, 1.0
    critical = float(special.ndtri(0.5 + confidence / 2))
    estimate = (fixed - regressed) / n

    def excess(delta: float) -> float:
        return score(fixed, regressed, n, delta) - critical

    def shortfall(delta: float) -> float:
        return score(fixed, regressed, n, delta) + critical

    # The score falls from +inf to -inf as delta rises through (-1, 1) and is 0 at the estimate.
    low = -1.0 if estimate <= -1 + 1e-9 else float(optimize.brentq(excess, -1.0 + 1e-12, estimate, xtol=1e-12))
    high = 1.0 if estimate >= 1 - 1e-9 else float(optimize.brentq(shortfall, estimate, 1.0 - 1e-12, xtol=1e-12))
    return low, high


def paired_interval(differences: ArrayLike, groups: Groups = None, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of the mean difference that respects groups and several samples a question.

    differences: (N,) candidate − base in [-1, 1] a question. Tango's interval on `effective_counts`, each over the prudent design
    effect: a few groups without a change prove little.
    Source: Rao & Scott 1992, Biometrics 48:577–585 (effective counts); Tango 1998.
    """
    fixed, regressed, n = effective_counts(differences, prudent_design_effect(differences, groups))
    return tango_interval(fixed, regressed, n, confidence)


def effective_counts(differences: ArrayLike, effect: float) -> tuple[float, float, float]:
    """(fixed, regressed, n) over a design effect: the pass/fail pairs with the same mean and sum of squares as the differences.

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


def design_effect(differences: ArrayLike, groups: Groups = None) -> float:
    """Variance of the mean difference over that of independent pass/fail pairs with the same `effective_counts`.

    differences: (N,) in [-1, 1]; groups: (N,) labels, None = each alone. The variance is cluster-robust (between group
    sums, C / (C − 1)), times (t quantile with C − 1 degrees / normal quantile)² at 97.5 %, because few groups know their own
    variance badly. At least 1, and exactly 1 if each question is a group of its own, or if nothing or everything is
    discordant in one direction (no variance to compare); N, one independent question in all, for a single group.
    Source: Rao & Scott 1992, Biometrics 48:577–585, section 2.
    """
    array = np.asarray(differences, dtype=np.float64)
    n, sums = array.size, group_sums(array, groups)
    independent = _discordant(array) - float(array.sum()) ** 2 / n if n else 0.0
    if n == 0 or independent <= 1e-12 or sums.size == n:
        return 1.0
    if sums.size == 1:
        return float(n)
    counts = group_sums(np.ones(n), groups)
    count = sums.size
    robust = float(((sums - counts * array.mean()) ** 2).sum()) * count / (count - 1)
    return float(np.clip(robust * few_groups(count) / independent, 1.0, n))


def prudent_design_effect(differences: ArrayLike, groups: Groups = None) -> float:
    """`design_effect`, drawn to the worst case if few groups are discordant and nothing is known of how they hang together.

    The worst case: a group is right or wrong as one (sum of squared sizes over N). It weighs like four discordant groups;
    differences that averaging made small do not count as whole ones.
    """
    array = np.asarray(differences, dtype=np.float64)
    if array.size == 0:
        return 1.0
    effect = design_effect(array, groups)
    worst = float((group_sums(np.ones(array.size), groups) ** 2).sum()) / array.size
    if worst <= 1:
        return effect
    discordant = min(float((group_sums(np.abs(array), groups) > 0).sum()), _discordant(array))
    return max(effect, (discordant * effect + DOUBT * worst) / (discordant + DOUBT))


@cache
def few_groups(count: int) -> float:
    """(t quantile with count − 1 degrees / normal quantile)² at 97.5 %."""
    return float(stats.t.ppf(0.975, count - 1) / stats.norm.ppf(0.975)) ** 2


def score(fixed: float, regressed: float, n: float, delta: float) -> float:
    """Tango's score statistic for H0: true difference = delta. 0 at the estimate.

    The nuisance probability q (of a loss) is at its maximum likelihood under H0, where a gain has probability q + delta:
    the larger root of 2n q² + B q − regressed · delta (1 − delta) = 0, B = −fixed − regressed + (2n − fixed + regressed) · delta.
    """
    b = -fixed - regressed + (2 * n - fixed + regressed) * delta
    c = -regressed * delta * (1 - delta)
    q = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    distance = fixed - regressed - n * delta
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)
