"""What selection alone explains of an improvement: regression to the mean.

Targets are chosen because the base failed them, and the same answers are then the baseline. A candidate with exactly the base's ability
that answers anew passes some of them: it "improves" whatever was chosen. But over all questions it regresses as many as it
fixes. So an improvement counts only if, over all questions, more were fixed than regressed. No choice of targets by the
base's answers can fake that, since all questions were chosen before any answer was known; nor can the choice of one slice, if all
slices are corrected for.

Axes: N held-out questions that decide. Pure; called by burnish.verdict.decision and the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.statistics import WeightedChange, weighted_change
from burnish.verdict.claims import Improvement, Thresholds


@dataclass(frozen=True)
class Population:
    """All held-out questions, and what each stands for, as (N,) arrays.

    difference: candidate − base, in [-1, 1]. base: pass rate of the base, in [0, 1]. weight: questions of the benchmark that
    this one stands for, since failed and passed questions are held out in different shares (corrections, replay rows).
    weight_in_slice: likewise within its slice. targeted: chosen because the base failed. group, slice: labels; None = each
    question alone, one slice.
    """

    difference: NDArray[np.float64]
    base: NDArray[np.float64]
    weight: NDArray[np.float64]
    targeted: NDArray[np.bool_]
    weight_in_slice: NDArray[np.float64] | None = None
    group: NDArray[Any] | None = None
    slice: NDArray[Any] | None = None

    def change(self) -> WeightedChange:
        """Over all questions."""
        return weighted_change(self.difference, self.weight, self.group)

    def slice_p_values(self) -> tuple[list[float], int]:
        """(p-value of each slice that holds a target, number of all slices)."""
        if self.slice is None:
            return [], 1
        weight = self.weight if self.weight_in_slice is None else self.weight_in_slice
        found = []
        for name in np.unique(self.slice[self.targeted]):
            inside = self.slice == name
            groups = None if self.group is None else self.group[inside]
            found.append(weighted_change(self.difference[inside], weight[inside], groups).p_value)
        return found, int(np.unique(self.slice).size)


@dataclass(frozen=True)
class Overall:
    """Accuracy over all questions, weighted. base, candidate, delta, interval (95 %): rates in [0, 1].

    p_value: that the target's fixes are more than selection explains. recovery_floor: share of failed questions that a mere
    change of answers brings back, if it brings back as many as it loses; None if the base failed none. loss_rate: share of
    passed questions that regressed.
    """

    n: int
    base: float
    candidate: float
    interval: tuple[float, float]
    fixed: float
    regressed: float
    p_value: float
    recovery_floor: float | None
    loss_rate: float

    @property
    def delta(self) -> float:
        return self.candidate - self.base

    def redrawn_gain(self, base_rate: float) -> float:
        """Change that a mere change of answers brings to questions of which the base passes this share."""
        return (self.recovery_floor or 0.0) * (1 - base_rate) - self.loss_rate * base_rate


def find_overall(population: Population) -> Overall | None:
    """None without questions. p_value: of the whole, or of the best slice that holds targets, each at its share of the level.

    The whole and the slices are a family fixed beforehand: half of the level is the whole's, the other half is
    shared by all slices (Bonferroni), so that choosing the worst slice explains nothing either.
    """
    total = float(population.weight.sum())
    if not total:
        return None
    change = population.change()
    slices, count = population.slice_p_values()
    p_value = change.p_value
    if count > 1:
        p_value = min(1.0, 2 * p_value, *(2 * count * p for p in slices))
    base = float((population.weight * population.base).sum()) / total
    failed = total * (1 - base)
    return Overall(
        n=population.difference.size,
        base=base,
        candidate=base + (change.fixed - change.regressed) / total,
        interval=change.interval,
        fixed=change.fixed,
        regressed=change.regressed,
        p_value=p_value,
        recovery_floor=min(1.0, change.regressed / failed) if failed > 1e-9 else None,
        loss_rate=min(1.0, change.regressed / (total - failed)) if total - failed > 1e-9 else 0.0,
    )


def withstand_selection(
    found: Improvement,
    base_rate: float | None,
    overall: Overall | None,
    limits: Thresholds,
    chance: float | None = None,
) -> Improvement:
    """An improvement that selection may explain is no "yes".

    yes stays yes if overall.p_value < alpha. Else it is unknown, since the targets may have been hard or unlucky; or "no" if
    their chance level is known and the interval ends less than least_improvement above it.
    base_rate: the base's pass rate on the held-out targets. chance: pass rate of a guess on them.
    """
    if found.answer != "yes" or overall is None or overall.p_value < limits.alpha:
        return found
    assert found.interval is not None
    assert base_rate is not None
    guesses = chance is not None and base_rate + found.interval[1] < chance + limits.least_improvement
    return replace(found, answer="no" if guesses else "unknown", explained_by_selection=True)
