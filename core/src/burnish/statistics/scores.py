"""Paired comparison of real-valued scores, groups respected. Called by burnish.verdict.decision."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from burnish.extras import Late
from burnish.schemas.evaluation import ScoreComparison
from burnish.statistics.intervals import Groups
from burnish.statistics.mcnemar import Alternative
from burnish.statistics.sign_flip import group_sums, sign_flip_exact

stats = Late("scipy.stats")


def compare_scores(
    base: ArrayLike, candidate: ArrayLike, groups: Groups = None, alternative: Alternative = "two-sided"
) -> ScoreComparison:
    """Mean scores of both sides, their difference with a 95 % interval, and the sign-flip p-value.

    base, candidate: (N,) mean score a question. The interval is Student's with C − 1 degrees and the cluster-robust variance
    of the mean; (-1, 1) for a single group; all None for no question.
    Source: Cameron & Miller 2015, J Hum Resour 50:317–372, sections II and VI (t with C − 1 degrees).
    """
    base_N, candidate_N = np.asarray(base, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    n = base_N.size
    if n == 0:
        return ScoreComparison(n=0, base=None, candidate=None, delta=None, ci_low=None, ci_high=None, p_value=None)
    low, high = mean_interval(candidate_N - base_N, groups)
    return ScoreComparison(
        n=n,
        base=float(base_N.mean()),
        candidate=float(candidate_N.mean()),
        delta=float((candidate_N - base_N).mean()),
        ci_low=low,
        ci_high=high,
        p_value=sign_flip_exact(candidate_N - base_N, groups, alternative),
    )


def mean_interval(differences: ArrayLike, groups: Groups = None, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided t interval of the mean of (N,) differences in [-1, 1], cut to [-1, 1]; (-1, 1) below two groups."""
    array = np.asarray(differences, dtype=np.float64)
    sums, counts = group_sums(array, groups), group_sums(np.ones(array.size), groups)
    count = sums.size
    if count < 2:
        return -1.0, 1.0
    mean = float(array.mean())
    variance = float(((sums - counts * mean) ** 2).sum()) * count / (count - 1) / array.size**2
    half = float(stats.t.ppf(0.5 + confidence / 2, count - 1)) * variance**0.5
    return max(-1.0, mean - half), min(1.0, mean + half)
