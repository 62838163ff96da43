"""How far a judge agrees with people, and what its errors do to a difference of pass rates."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from burnish.extras import Late

stats = Late("scipy.stats")

DRAWS = 20_000


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided score interval of a proportion. trials = 0 gives (0, 1): nothing is known.

    Source: Wilson 1927, JASA 22:209–212; Newcombe 1998, Stat Med 17:857–872, method 3.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes do not fit {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    return max(0.0, min(centre - half, rate)), min(1.0, max(centre + half, rate))


def cohens_kappa(judge: ArrayLike, human: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """(kappa, low, high): agreement of two pass/fail gradings of the same answers beyond chance, 1 = perfect, 0 = chance.

    judge, human: (N,) booleans. The interval is normal with the large-sample variance, cut to [-1, 1]; if both always
    say the same one word, chance agreement is 1 and kappa is 0 by convention, interval (-1, 1).
    Source: Cohen 1960, Educ Psychol Meas 20:37–46; variance: Fleiss, Cohen & Everitt 1969, Psychol Bull 72:323–327, equation 13.
    Raises ValueError for none or unequal lengths.
    """
    a, b = np.asarray(judge, dtype=bool), np.asarray(human, dtype=bool)
    if a.size == 0 or a.shape != b.shape:
        raise ValueError(f"{a.size} grades of the judge do not fit {b.size} of people")
    n = a.size
    table = np.array([[np.mean(a & b), np.mean(a & ~b)], [np.mean(~a & b), np.mean(~a & ~b)]])
    row, column = table.sum(axis=1), table.sum(axis=0)
    observed, chance = float(np.trace(table)), float(row @ column)
    if chance >= 1 - 1e-12:
        return 0.0, -1.0, 1.0
    kappa = (observed - chance) / (1 - chance)
    on = sum(table[i, i] * (1 - (row[i] + column[i]) * (1 - kappa)) ** 2 for i in range(2))
    off = (1 - kappa) ** 2 * sum(table[i, j] * (column[i] + row[j]) ** 2 for i, j in ((0, 1), (1, 0)))
    variance = max(0.0, float(on + off - (kappa - chance * (1 - kappa)) ** 2)) / (n * (1 - chance) ** 2)
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * math.sqrt(variance)
    return kappa, max(-1.0, kappa - half), min(1.0, kappa + half)


def youden_index(
    true_positives: tuple[int, int], true_negatives: tuple[int, int], confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float] | None:
    """(J, low, high), J = true-positive rate + true-negative rate − 1; None if the judge cannot tell a pass from a fail.

    Arguments as for `rogan_gladen_delta`. None: J <= 0, its interval reaches 0, or people passed or failed none.
    Source: Youden 1950, Cancer 3:32–35; interval: seeded draws from Jeffreys posteriors of the two rates.
    """
    drawn = _draw_youden(true_positives, true_negatives, np.random.default_rng(seed))
    if drawn is None:
        return None
    low, high = np.percentile(drawn, [50 * (1 - confidence), 50 * (1 + confidence)])
    index = true_positives[0] / true_positives[1] + true_negatives[0] / true_negatives[1] - 1
    return None if index <= 0 or low <= 0 else (index, min(index, float(low)), max(index, float(high)))


def rogan_gladen_delta(
    delta: float,
    interval: tuple[float, float],
    true_positives: tuple[int, int],
    true_negatives: tuple[int, int],
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float] | None:
    """(delta, low, high) of the true pass rates, from those that an erring judge gave; None if the judge cannot tell.

    delta, interval: candidate − base as judged, with its two-sided interval at `confidence`. true_positives: (passed by the
    judge, passed by people); true_negatives: (failed by the judge, failed by people). With J = tpr + tnr − 1 the true
    difference is delta / J: the judge must err alike on both sides. The interval carries both uncertainties, by a seeded
    parametric bootstrap: a two-piece normal for delta, Jeffreys Beta posteriors for the rates. None if J <= 0 or
    its own interval reaches 0 (a judge no better than a coin), or people passed or failed none. Cut to [-1, 1].
    Source: Rogan & Gladen 1978, Am J Epidemiol 107:71–76; uncertainty of the rates: Lang & Reiczigel 2014, Prev Vet Med
    113:13–22 (there by adjusted counts).
    """
    youden = youden_index(true_positives, true_negatives, confidence, seed)
    if youden is None:
        return None
    random = np.random.default_rng(seed)
    drawn = _draw_youden(true_positives, true_negatives, random)
    assert drawn is not None
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    normal = random.standard_normal(DRAWS)
    spread = np.where(normal < 0, delta - interval[0], interval[1] - delta) / z
    corrected = (delta + normal * spread) / np.maximum(drawn, 1e-6)
    low, high = np.clip(np.percentile(corrected, [50 * (1 - confidence), 50 * (1 + confidence)]), -1.0, 1.0)
    estimate = float(np.clip(delta / youden[0], -1.0, 1.0))
    return estimate, min(estimate, float(low)), max(estimate, float(high))


def _draw_youden(
    true_positives: tuple[int, int], true_negatives: tuple[int, int], random: np.random.Generator
) -> NDArray[np.float64] | None:
    for right, of in (true_positives, true_negatives):
        if not 0 <= right <= of:
            raise ValueError(f"{right} right of {of} is no count")
        if of == 0:
            return None
    first, second = (
        random.beta(right + 0.5, of - right + 0.5, DRAWS) for right, of in (true_positives, true_negatives)
    )
    return np.asarray(first + second - 1, dtype=np.float64)
