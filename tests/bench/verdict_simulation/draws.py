"""Draws of simulated experiments: a population of questions with exact rates, asked with noise.

Every question is one of five kinds. `held` passes and `hopeless` fails, with both models; `gained` and `lost` change for
certain; `flaky` passes with a probability of its own, the same for both models, from a Beta distribution. So noise sits on
some questions and not on others, as it does in greedy decoding under batching, and the true change of the pass rate is
share of gained − share of lost, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from bench.verdict_simulation.cells import CLUSTER_SIZE, INTRA_CLUSTER_CORRELATION, Cell, Group

Booleans: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]

BASE_RATE: dict[Group, float] = {"target": 0.30, "rest": 0.80}
# Pass probability of a flaky question: mean 1/3 on the target and 2/3 on the rest. Both: E[2p(1 − p)] = 1/3.
FLAKY_BETA: dict[Group, tuple[float, float]] = {"target": (1.0, 2.0), "rest": (2.0, 1.0)}
FLAKY_DISAGREEMENT = 1 / 3
HELD, HOPELESS, GAINED, LOST, FLAKY = range(5)


@dataclass(frozen=True)
class Draws:
    """base: (draws, questions, samples of the base), candidate likewise. clusters: (questions,), a number a cluster."""

    base: Booleans
    candidate: Booleans
    clusters: npt.NDArray[np.int64]


def shares(cell: Cell) -> Floats:
    """Shares of held, hopeless, gained, lost and flaky questions; they sum to 1. Raises ValueError where none fit."""
    churn, gain, harm = cell.setting.churn, max(cell.effect, 0.0), max(-cell.effect, 0.0)
    gained, lost = gain + churn / 2, harm + churn / 2
    flaky = cell.setting.sampling.noise / FLAKY_DISAGREEMENT
    a, b = FLAKY_BETA[cell.group]
    held = BASE_RATE[cell.group] - lost - flaky * a / (a + b)
    hopeless = 1 - held - gained - lost - flaky
    if min(held, hopeless) < -1e-12:
        raise ValueError(f"no population has base rate {BASE_RATE[cell.group]} in {cell}")
    found = np.clip([held, hopeless, gained, lost, flaky], 0.0, 1.0)
    return np.asarray(found / found.sum())


def difference_variance(cell: Cell) -> float:
    """Variance of one question's difference of pass shares (candidate − base).

    That of the true change, plus 2 E[p(1 − p)] / k if k samples of either side are averaged.
    """
    _, _, gained, lost, _ = shares(cell)
    sampling = cell.setting.sampling
    return float(gained + lost - (gained - lost) ** 2) + sampling.noise / sampling.averaged


def draw(cell: Cell, draws: int, seed: int) -> Draws:
    """`draws` experiments of one cell; the same cell and seed give the same draws.

    Clustered: each question takes its kind (and pass probability) from its document with probability √ρ, else its own.
    Two questions of a document so share it with probability ρ, which is then the exact intra-cluster correlation of the
    true change, while every question keeps its marginal distribution.
    """
    setting = cell.setting
    random = np.random.default_rng([seed, setting.n, *_entropy(cell)])
    kinds, passes = _questions(cell, (draws, setting.n), random)
    clusters = np.arange(setting.n)
    if setting.clustered:
        clusters = clusters // CLUSTER_SIZE
        of_kinds, of_passes = _questions(cell, (draws, int(clusters[-1]) + 1), random)
        shared = random.random(kinds.shape) < np.sqrt(INTRA_CLUSTER_CORRELATION)
        kinds = np.where(shared, of_kinds[:, clusters], kinds)
        passes = np.where(shared, of_passes[:, clusters], passes)
    return Draws(
        base=_ask(kinds, passes, (HELD, LOST), setting.sampling.base, random),
        candidate=_ask(kinds, passes, (HELD, GAINED), setting.sampling.candidate, random),
        clusters=clusters,
    )


def _entropy(cell: Cell) -> list[int]:
    setting, sampling = cell.setting, cell.setting.sampling
    group = 0 if cell.group == "target" else 1
    rates = [round(1000 * abs(rate)) for rate in (setting.churn, sampling.noise, cell.effect)]
    return [group, int(setting.clustered), sampling.base, sampling.candidate, *rates]


def _questions(cell: Cell, shape: tuple[int, int], random: np.random.Generator) -> tuple[npt.NDArray[np.int64], Floats]:
    """Kinds, and the pass probability that counts where the kind is flaky."""
    kinds = np.searchsorted(np.cumsum(shares(cell))[:-1], random.random(shape), side="right")
    return kinds, random.beta(*FLAKY_BETA[cell.group], shape)


def _ask(
    kinds: npt.NDArray[np.int64],
    passes: Floats,
    passing: tuple[int, int],
    samples: int,
    random: np.random.Generator,
) -> Booleans:
    stable = np.isin(kinds, passing)[:, :, None]
    flaky = random.random((*kinds.shape, samples)) < passes[:, :, None]
    return np.asarray(np.where((kinds == FLAKY)[:, :, None], flaky, stable))
