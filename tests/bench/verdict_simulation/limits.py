"""How often any honest test could show that the rest is not worse: a bound no method beats, by linear programming."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from bench.verdict_simulation.cells import CLUSTER_SIZE, MARGIN, Cell
from bench.verdict_simulation.draws import Floats, difference_variance
from scipy.optimize import linprog
from scipy.stats import binom

LEVEL = 0.05
NUISANCE_POINTS = 80
NEGLIGIBLE = 1e-7


@dataclass(frozen=True)
class Limit:
    """any_test: no test at all, randomised ones included, shows it more often. plain_test: reached without throwing a coin."""

    any_test: float
    plain_test: float


def ship_limit(cell: Cell) -> Limit:
    """The limit for an unharmed rest cell. Exact if one sample is averaged and nothing clusters; else at the same information:

    a question of difference variance v counts as a gain or a loss with probability v, and a cluster as one question,
    since no test knows beforehand that its questions do not fail as one.
    """
    questions = cell.setting.n // (CLUSTER_SIZE if cell.setting.clustered else 1)
    return noninferiority_limit(questions, round(difference_variance(cell), 6))


@cache
def noninferiority_limit(n: int, discordance: float, margin: float = MARGIN, level: float = LEVEL) -> Limit:
    """Largest power of any test of "loss rate − gain rate >= margin" at this level.

    The test sees how many of n independent questions were gained and lost. Power is taken where both have probability
    discordance / 2; the level must hold on the edge of the hypothesis for every gain rate of a grid (a grid asks less
    than every rate, so the bound errs upwards). Neyman–Pearson with a composite hypothesis is this linear program:
    Lehmann & Romano, Testing Statistical Hypotheses, section 3.8. Outcomes of total probability below 1e-6 are left out.
    """
    most = int(binom.isf(NEGLIGIBLE, n, discordance / 2)) + 1
    counts = np.arange(min(most, n) + 1)
    gained, lost = (axis.ravel() for axis in np.meshgrid(counts, counts, indexing="ij"))
    fits = gained + lost <= n
    gained, lost = gained[fits], lost[fits]
    power = _trinomial(gained, lost, n, discordance / 2, discordance / 2)
    seen = power > NEGLIGIBLE / len(power)
    gained, lost, power = gained[seen], lost[seen], power[seen]
    gain_rates = np.concatenate([[0.0], np.geomspace(1e-4, 0.45, NUISANCE_POINTS)])
    size = np.array([_trinomial(gained, lost, n, rate, rate + margin) for rate in gain_rates])
    found = linprog(-power, A_ub=size, b_ub=np.full(len(gain_rates), level), bounds=(0, 1), method="highs")
    if not found.success:
        raise ArithmeticError(f"no limit for n {n}, discordance {discordance}: {found.message}")
    return Limit(any_test=float(-found.fun), plain_test=float(power[found.x > 1 - 1e-6].sum()))


def _trinomial(
    gained: npt.NDArray[np.int64], lost: npt.NDArray[np.int64], n: int, gain_rate: float, loss_rate: float
) -> Floats:
    either = gain_rate + loss_rate
    if either == 0:
        return np.asarray((gained + lost == 0).astype(np.float64))
    return np.asarray(binom.pmf(gained + lost, n, either) * binom.pmf(gained, gained + lost, gain_rate / either))
