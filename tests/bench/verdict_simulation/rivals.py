"""Three other ways to decide, on the same draws. Each ships or does not; none knows "inconclusive".

All look at the first answer of each side, as one who asks once does. Shapes: (draws,) in and out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from bench.verdict_simulation.draws import Booleans, Draws, Floats
from scipy.stats import binom, norm

Counts = npt.NDArray[np.int64]
LEVEL = 0.05


@dataclass(frozen=True)
class FirstAnswers:
    """Counts over the n questions of one group, a number a draw."""

    n: int
    base: Counts
    candidate: Counts
    gained: Counts
    lost: Counts


def first_answers(draws: Draws) -> FirstAnswers:
    base, candidate = draws.base[:, :, 0], draws.candidate[:, :, 0]
    return FirstAnswers(
        n=base.shape[1],
        base=base.sum(axis=1),
        candidate=candidate.sum(axis=1),
        gained=(candidate & ~base).sum(axis=1),
        lost=(base & ~candidate).sum(axis=1),
    )


def any_flip(target: FirstAnswers, rest: FirstAnswers) -> Booleans:
    """Ship if the target's mean went up and not one rest question flipped to a failure."""
    return np.asarray((target.candidate > target.base) & (rest.lost == 0))


def means_only(target: FirstAnswers, rest: FirstAnswers) -> Booleans:
    """Ship if the target's mean went up and the rest's did not go down."""
    return np.asarray((target.candidate > target.base) & (rest.candidate >= rest.base))


def unpaired_z(target: FirstAnswers, rest: FirstAnswers) -> Booleans:
    """Ship if a pooled two-sample z-test says that the target rose, and does not say that the rest fell (one-sided, 5 %)."""
    critical = float(norm.isf(LEVEL))
    return np.asarray((_z(target) > critical) & (_z(rest) > -critical))


def mcnemar_gate(target: FirstAnswers, rest: FirstAnswers) -> Booleans:
    """Ship unless the exact two-sided McNemar test says that the target or the rest regressed: a regression gate."""
    return ~(_regressed(target) | _regressed(rest))


def _z(group: FirstAnswers) -> Floats:
    pooled = (group.base + group.candidate) / (2 * group.n)
    error = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / group.n, 1e-12))
    return np.asarray((group.candidate - group.base) / group.n / error)


def _regressed(group: FirstAnswers) -> Booleans:
    p_value = 2 * binom.cdf(group.gained, group.gained + group.lost, 0.5)
    return np.asarray((group.lost > group.gained) & (p_value < LEVEL))


RIVALS: dict[str, Callable[[FirstAnswers, FirstAnswers], Booleans]] = {
    "means and any flip": any_flip,
    "means only": means_only,
    "unpaired z-test": unpaired_z,
    "McNemar gate": mcnemar_gate,
}
