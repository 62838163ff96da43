"""A test of weighted changes: are there more questions fixed than regressed in the whole that a weighted sample stands for?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from burnish.extras import Late
from burnish.statistics.intervals import DOUBT, Groups, few_groups, tango_interval
from burnish.statistics.sign_flip import group_sums

special = Late("scipy.special")

Floats = NDArray[np.float64]


class WeightedChange(NamedTuple):
    """Questions of the whole that changed, estimated. p_value: of H0 "fixed <= regressed". interval: of the net, at 95 %."""

    fixed: float
    regressed: float
    p_value: float
    interval: tuple[float, float]


def weighted_change(differences: ArrayLike, weights: ArrayLike, groups: Groups = None) -> WeightedChange:
    """Fixed and regressed questions, each counted as the number of questions that it stands for.

    differences: (N,) candidate − base in [-1, 1]. weights: (N,) at least 1, the inverse of the share that was sampled. groups:
    (N,) labels; None = each alone.

    Either sum of weights is taken for a scaled Poisson count with its mean and variance (times the design effect), and the
    two are compared by melding their gamma confidence distributions. With equal weights this is exactly the one-sided sign
    test. A regression that was not seen may weigh as much as the heaviest question, so that p errs upwards.
    Source: Fay & Feuer 1997, Stat Med 16:791–801 (weighted counts); Fay, Proschan & Brittain 2015, Biometrics 71:146–156
    (melding). The interval of the net is Tango's on the same effective counts.
    """
    change, weight = np.asarray(differences, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    changed = change * weight
    fixed, regressed = float(changed[changed > 0].sum()), float(-changed[changed < 0].sum())
    if not change.size:
        return WeightedChange(0.0, 0.0, 1.0, (-1.0, 1.0))
    effect = _design_effect(changed, weight, groups)
    square_up, square_down = float((changed[changed > 0] ** 2).sum()), float((changed[changed < 0] ** 2).sum())
    largest = float(weight.max())
    p_value = 1.0
    if fixed > 0:
        unseen, square_unseen = regressed + effect * largest, effect * square_down + (effect * largest) ** 2
        scale_up, scale_down = effect * square_up / fixed, square_unseen / unseen
        p_value = float(special.betainc(fixed / scale_up, unseen / scale_down, scale_down / (scale_down + scale_up)))
    scale = effect * (square_up + square_down) / (fixed + regressed) if fixed + regressed else effect
    low, high = tango_interval(fixed / scale, regressed / scale, max(float(weight.sum()), fixed + regressed) / scale)
    return WeightedChange(fixed, regressed, p_value, (low, high))


def _design_effect(changed: Floats, weight: Floats, groups: Groups) -> float:
    """`prudent_design_effect` for weighted changes: cluster-robust over independent variance of their sum, drawn to the worst case."""
    sizes, sums = group_sums(weight, groups), group_sums(changed, groups)
    count = sums.size
    if count == changed.size:
        return 1.0
    worst = float((sizes**2).sum() / (weight**2).sum())
    mean = float(changed.sum() / weight.sum())
    independent = float(((changed - weight * mean) ** 2).sum())
    effect = 1.0
    if count == 1:
        effect = worst
    elif independent > 1e-12:
        robust = float(((sums - sizes * mean) ** 2).sum()) * count / (count - 1) * few_groups(count)
        effect = float(np.clip(robust / independent, 1.0, changed.size))
    discordant = float((group_sums(np.abs(changed), groups) > 0).sum())
    return max(effect, (discordant * effect + DOUBT * worst) / (discordant + DOUBT))
