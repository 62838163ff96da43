"""The grid of simulated experiments: what is true in each cell, and how it is asked.

A cell is one side of an experiment: its targeted questions or its rest. Target and rest are drawn independently, so a
whole experiment is one cell of each under the same Setting, draw by draw (see scoring.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

Group = Literal["target", "rest"]

SIZES = (20, 50, 100, 200, 500)
GAINS = (0.0, 0.10, 0.30)
HARMS = (0.0, 0.02, 0.05, 0.10)
NO_CHURN, LOW_CHURN, HIGH_CHURN = (0.0, 0.01, 0.10)
MARGIN = 0.02
CLUSTER_SIZE = 4
INTRA_CLUSTER_CORRELATION = 0.25


@dataclass(frozen=True, order=True)
class Sampling:
    """How noisy the models are, and how often each is asked.

    noise: probability that two samples of one model for one question disagree. base, candidate: samples a question; the
    verdict averages as many of either side, and learns the noise from the base's own.
    """

    noise: float
    base: int
    candidate: int

    @property
    def label(self) -> str:
        return f"{100 * self.noise:.0f} %, {self.base}+{self.candidate}"

    @property
    def averaged(self) -> int:
        return min(self.base, self.candidate)


SAMPLINGS = (Sampling(0.0, 2, 1), Sampling(0.05, 2, 1), Sampling(0.10, 2, 1), Sampling(0.10, 5, 5))


@dataclass(frozen=True, order=True)
class Setting:
    """All but the truth about the effect. n: targeted questions, and as many rest questions.

    churn: share of questions that change for no net effect, half of them gained and half lost ("discordance").
    clustered: documents of CLUSTER_SIZE questions whose changes correlate by INTRA_CLUSTER_CORRELATION.
    """

    n: int
    churn: float
    clustered: bool
    sampling: Sampling


@dataclass(frozen=True, order=True)
class Cell:
    """effect: true change of the pass rate, in [-1, 1]: a gain on the target, minus the harm on the rest."""

    setting: Setting
    group: Group
    effect: float


def all_settings(sizes: tuple[int, ...] = SIZES) -> list[Setting]:
    """Low and high churn by clusters by samplings; and none at all, alone and quiet: the candidate leaves the rest as it is."""
    churned = [Setting(*values) for values in product(sizes, (LOW_CHURN, HIGH_CHURN), (False, True), SAMPLINGS)]
    return [Setting(n, NO_CHURN, False, SAMPLINGS[0]) for n in sizes] + churned


def cells_of(setting: Setting) -> list[Cell]:
    """The three targets and the four rests of a setting."""
    targets = [Cell(setting, "target", gain) for gain in GAINS]
    return targets + [Cell(setting, "rest", -harm if harm else 0.0) for harm in HARMS]
