"""Not worse by a margin: an exact unconditional test on Tango's score, its bound, and what it can show.

Tango's test itself is liberal if few pairs are discordant: 133 pairs without one loss give p < 0.05 at a margin of 0.02,
though as many show none in 6.8 % of runs with a harm of just that. Here the nuisance loss rate is maximised over.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from burnish.extras import Late
from burnish.statistics.intervals import Groups, effective_counts, prudent_design_effect, score

special = Late("scipy.special")
stats = Late("scipy.stats")

MOST_EXACT = 2000  # beyond, the score is normal enough
CLEARLY_NOT = 0.2  # asymptotic p-values above need no exact one
STEP = 0.005  # the statistic is rounded down to multiples of this: p-values err upwards by little and are shared
GRID = 40

Floats = NDArray[np.float64]


def noninferiority(
    differences: ArrayLike, groups: Groups = None, margin: float = 0.02, alpha: float = 0.05
) -> tuple[float, float]:
    """(lower bound, p-value) for: the mean difference is above −margin. One-sided; p < alpha exactly if bound > −margin.

    differences: (N,) candidate − base in [-1, 1]. No questions: (-1, 1.0).
    """
    fixed, regressed, n = effective_counts(differences, prudent_design_effect(differences, groups))
    return noninferiority_bound(fixed, regressed, n, margin, alpha), noninferiority_p(fixed, regressed, n, margin)


def noninferiority_p(fixed: float, regressed: float, n: float, margin: float = 0.02) -> float:
    """P-value of H0: delta <= −margin against delta > −margin, from (effective) counts.

    Exact unconditional: the largest probability, over all loss rates with delta = −margin, of a Tango score as large as the
    one seen, in trinomial samples of floor(n). Its size never exceeds alpha (up to the grid of loss rates). Asymptotic if that
    alone is above 0.2, or n above 2,000. n < 1: 1.
    Source: Sidik 2003, Biometrical J 45:36–45 and Lloyd & Moldovan 2008, Stat Med 27:3540–3549 (exact unconditional
    non-inferiority of paired proportions); statistic: Tango 1998.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin {margin} is not between 0 and 1")
    return _p_value(fixed, regressed, n, -margin)


def noninferiority_bound(fixed: float, regressed: float, n: float, margin: float = 0.02, alpha: float = 0.05) -> float:
    """One-sided lower bound of delta at level 1 − alpha: the test above, inverted to 0.0002. -1 for n < 1."""
    if n < 1:
        return -1.0
    estimate = (fixed - regressed) / n
    held = _p_value(fixed, regressed, n, -margin) < alpha
    low, high = (-margin, max(estimate, -margin)) if held else (-1.0, min(-margin, estimate))
    while high - low > 2e-4:
        middle = (low + high) / 2
        if _p_value(fixed, regressed, n, middle) < alpha:
            low = middle
        else:
            high = middle
    return max(low, -margin + 1e-6) if held else low


def noninferiority_power(
    n: int, discordance: float, margin: float = 0.02, alpha: float = 0.05, delta: float = 0.0
) -> float:
    """Probability of showing non-inferiority over n independent pairs, of which a share `discordance` differs in truth.

    delta: the true difference; |delta| <= discordance <= 1. Exact up to n = 2,000, normal beyond. 0 for n = 0.
    """
    if not abs(delta) <= discordance <= 1:
        raise ValueError(f"discordance {discordance} does not allow a difference of {delta}")
    if n < 1:
        return 0.0
    loss = (discordance - delta) / 2
    if n > MOST_EXACT:
        spread = math.sqrt(max(discordance - delta**2, 1e-12) / n)
        return float(stats.norm.cdf((delta + margin) / spread - stats.norm.ppf(1 - alpha)))
    critical = _critical(n, -margin, alpha)
    gains = _least_gains(critical * STEP, n, -margin)
    return float(_region_probability(gains, n, np.array([loss]), np.array([loss + delta]))[0])


def required_rest_questions(
    discordance: float, margin: float = 0.02, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """About the smallest number of independent pairs that shows non-inferiority with `power` when nothing changed on the net.

    By bisection up from the normal approximation, to 1 %; exact if no pair is discordant. None beyond 100,000.
    """
    return _required(round(discordance, 3), margin, alpha, power)


@lru_cache(maxsize=4096)
def _required(discordance: float, margin: float, alpha: float, power: float) -> int | None:
    no_loss = math.ceil(math.log(alpha) / math.log1p(-margin))
    z = float(stats.norm.ppf(1 - alpha) + stats.norm.ppf(power))
    low = max(no_loss, math.floor(z * z * discordance / margin**2)) - 1
    high = low + 1
    while high <= 100_000 and noninferiority_power(high, discordance, margin, alpha) < power:
        low, high = high, high + max(64, high // 4)
    if high > 100_000:
        return None
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        if noninferiority_power(middle, discordance, margin, alpha) >= power:
            high = middle
        else:
            low = middle
    return high


def _p_value(fixed: float, regressed: float, n: float, delta: float) -> float:
    if n < 1:
        return 1.0
    statistic = score(fixed, regressed, n, delta)
    asymptotic = float(stats.norm.sf(statistic))
    if asymptotic > CLEARLY_NOT or n > MOST_EXACT:
        return asymptotic
    return _exact(math.floor(statistic / STEP), math.floor(n + 1e-9), round(delta, 6))


@lru_cache(maxsize=200_000)
def _exact(statistic: int, n: int, delta: float) -> float:
    """Largest probability, over the loss rate, of a score of at least statistic · STEP."""
    gains = _least_gains(statistic * STEP, n, delta)
    least, span = max(0.0, -delta), (1 - abs(delta)) / 2
    loss = least + span * np.linspace(0, 1, GRID) ** 3
    chance = _region_probability(gains, n, loss, loss + delta)
    best = int(np.argmax(chance))
    closer = np.linspace(loss[max(best - 1, 0)], loss[min(best + 1, GRID - 1)], 12)
    return float(min(1.0, max(chance.max(), _region_probability(gains, n, closer, closer + delta).max())))


@lru_cache(maxsize=4096)
def _critical(n: int, delta: float, alpha: float) -> int:
    """Smallest statistic, in steps, whose exact p-value is below alpha."""
    low, high = 0, math.ceil(2 * float(stats.norm.ppf(1 - alpha)) / STEP)
    while high - low > 1:
        middle = (low + high) // 2
        if _exact(middle, n, delta) < alpha:
            high = middle
        else:
            low = middle
    return high


def _least_gains(statistic: float, n: int, delta: float) -> NDArray[np.int64]:
    """(n + 1,) for each count of losses the fewest gains with a score of at least `statistic`; n + 1 if none is enough."""
    regressed = np.arange(n + 1)
    low, high = np.full(n + 1, -1), n - regressed + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = _scores(np.maximum(middle, 0), regressed, n, delta) >= statistic - 1e-9
        high = np.where((high - low > 1) & enough, middle, high)
        low = np.where((high - low > 1) & ~enough, middle, low)
    return np.where(high > n - regressed, n + 1, high)


def _scores(fixed: NDArray[np.int64], regressed: NDArray[np.int64], n: int, delta: float) -> Floats:
    """`score` over arrays of counts."""
    b = -fixed - regressed + (2 * n - fixed + regressed) * delta
    q = (np.sqrt(np.maximum(b * b + 8 * n * regressed * delta * (1 - delta), 0.0)) - b) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    distance = fixed - regressed - n * delta
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = distance / np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(
        np.where(variance > 0, scores, np.where(distance == 0, 0.0, np.copysign(np.inf, distance))), dtype=np.float64
    )


def _region_probability(gains: NDArray[np.int64], n: int, loss_Q: Floats, gain_Q: Floats) -> Floats:
    """(Q,) probability that a trinomial sample of n has at least gains[regressed] gains, for each pair of loss and gain rates."""
    regressed = np.flatnonzero(gains <= n)
    if not regressed.size:
        return np.zeros(loss_Q.size)
    loss, gain = loss_Q[:, None], np.maximum(gain_Q, 0.0)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_loss = np.where(regressed == 0, 0.0, regressed * np.log(np.maximum(loss, 1e-300)))
        log_kept = (n - regressed) * np.log1p(-loss)
        weight = np.exp(
            special.gammaln(n + 1)
            - special.gammaln(regressed + 1)
            - special.gammaln(n - regressed + 1)
            + log_loss
            + log_kept
        )
        rate = np.minimum(gain / (1 - loss), 1.0)
    row, column = np.nonzero(weight > 1e-10)
    least = gains[regressed[column]]
    tail = np.ones(row.size)
    some = least > 0
    tail[some] = special.betainc(least[some], n - regressed[column][some] - least[some] + 1, rate[row[some], 0])
    return np.bincount(row, weights=weight[row, column] * tail, minlength=loss_Q.size).astype(np.float64)
