"""Exact paired randomisation test that respects groups: which side is which is exchanged, a whole group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import ArrayLike, NDArray

from burnish.statistics.mcnemar import Alternative, mcnemar_exact

MOST_STEPS = 1 << 14  # resolution of the grid if differences share no small denominator
LARGEST_DENOMINATOR = 1000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def sign_flip_exact(
    differences: ArrayLike, groups: Sequence[object] | ArrayLike | None = None, alternative: Alternative = "greater"
) -> float:
    """p-value that exchanging the two sides of a whole group changes nothing: every sign of every group's sum is equally likely.

    differences: (N,) candidate − base a question, in [-1, 1]. groups: (N,) labels; None = each question is a group of its own.
    Exact: the distribution of the signed sum by dynamic programming over integers. Differences of means over few samples
    share a small denominator and are scaled by it; real-valued scores are first rounded to a fixed grid of 1 / 16,384 of
    the sum of absolute group sums (rounding keeps signs exchangeable, so that the test stays exact). Where all non-zero
    group sums have one size it is McNemar's test, and computed as such. `greater`: the candidate is better. No
    non-zero sum: 1. Exact under exchangeability, which needs as many samples of either side.
    Source: Fisher 1935 §21; Good 2005, Permutation, Parametric and Bootstrap Tests, 3rd ed., section 3.2; group sums: Gail
    et al. 1996, Stat Med 15:1069–1092.
    """
    sums = group_sums(differences, groups)
    steps = _to_integers(sums[np.abs(sums) > 1e-12])
    steps = steps[steps != 0]
    if not steps.size:
        return 1.0
    sizes = np.abs(steps)
    if (sizes == sizes[0]).all():
        return mcnemar_exact(int((steps > 0).sum()), int((steps < 0).sum()), alternative)
    chance = _distribution(sizes)
    positive = int(steps[steps > 0].sum())  # the sum of the sizes whose sign is plus decides the signed sum
    greater, less = float(chance[positive:].sum()), float(chance[: positive + 1].sum())
    p_value = {"greater": greater, "less": less, "two-sided": 2 * min(greater, less)}[alternative]
    return min(1.0, p_value)


def group_sums(values: ArrayLike, groups: Sequence[object] | ArrayLike | None = None) -> Floats:
    """(C,) sum of values a group, groups in sorted order; the values themselves for None. Raises ValueError on NaN or
    unequal lengths."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("differences must be finite numbers")
    if groups is None:
        return array
    labels = np.asarray(groups)
    if labels.shape != array.shape:
        raise ValueError(f"{labels.size} group labels do not fit {array.size} differences")
    _, codes = np.unique(labels, return_inverse=True)
    return np.bincount(codes, weights=array).astype(np.float64) if array.size else array


def _to_integers(sums: Floats) -> Ints:
    denominator = 1
    for value in np.unique(np.abs(sums)):
        fraction = Fraction(float(value)).limit_denominator(LARGEST_DENOMINATOR)
        denominator = lcm(denominator, fraction.denominator)
        if abs(float(fraction) - value) > 1e-9 or denominator * float(np.abs(sums).sum()) > MOST_STEPS:
            denominator = 0
            break
    scale = denominator or MOST_STEPS / float(np.abs(sums).sum())
    return np.rint(sums * scale).astype(np.int64)


def _distribution(sizes: Ints) -> Floats:
    """(T + 1,) probability of each sum of the sizes that got a plus, each with chance 1/2; T = sum of sizes."""
    chance = np.zeros(int(sizes.sum()) + 1)
    chance[0], reached = 1.0, 0
    for size in np.sort(sizes):
        reached += int(size)
        shifted = chance[: reached - size + 1].copy()
        chance[: reached + 1] *= 0.5
        chance[size : reached + 1] += 0.5 * shifted
    return chance
