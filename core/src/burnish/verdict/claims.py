"""The two claims behind a verdict, on arrays of paired outcomes: did the target improve, and did the rest hold?

Pure and light, so that burnish.verdict.decision decides real results and the simulation decides drawn ones by the same functions.
Axes: N questions. difference = candidate − base, above 0 is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.schemas.evaluation import ClaimAnswer
from burnish.statistics import (
    effective_counts,
    holm,
    needs_questions,
    noninferiority_bound,
    noninferiority_p,
    paired_interval,
    prudent_design_effect,
    required_rest_questions,
    rogan_gladen_delta,
    sign_flip_exact,
    tail_probability,
    wilson_interval,
    youden_index,
)

Answer = ClaimAnswer


@dataclass(frozen=True)
class Thresholds:
    """What counts as shown. Rates and levels in [0, 1].

    alpha: one-sided level of each claim. least_improvement: smaller gains on the target are not worth an adapter.
    margin: the rest may be worse by less than this (non-inferiority). most_missing: share of questions that may go
    ungraded. arm_margin: a baseline may be worse than the adapter on the target by less than this.
    """

    alpha: float = 0.05
    least_improvement: float = 0.10
    margin: float = 0.02
    most_missing: float = 0.10
    arm_margin: float = 0.05


@dataclass(frozen=True)
class Judge:
    """Counts of a calibration. true_positives: (passed by the judge, passed by people); true_negatives: (failed, failed)."""

    true_positives: tuple[int, int]
    true_negatives: tuple[int, int]


@dataclass(frozen=True)
class Outcomes:
    """Paired outcomes of N questions of one kind (targeted or rest), as (N,) arrays.

    difference: in [-1, 1], mean of the candidate's samples − mean of the base's, as many of either side. group: labels
    (ints or strings), None = each question alone. slice: labels, None = one slice. stable: the base passes in each of
    its samples. regression: stable, and the candidate fails by majority. judged: graded by a judge that `judge` calibrates.
    self_loss: how often the base, asked once more, fails a stable question; None if it was asked once. noise: how often two
    samples of the base differ; None likewise. samples: as many of either side as the differences average.
    """

    difference: NDArray[np.float64]
    group: NDArray[Any] | None = None
    slice: NDArray[Any] | None = None
    stable: NDArray[np.bool_] | None = None
    regression: NDArray[np.bool_] | None = None
    judged: NDArray[np.bool_] | None = None
    judge: Judge | None = None
    self_loss: float | None = None
    noise: float | None = None
    samples: int = 1

    @property
    def n(self) -> int:
        return int(self.difference.size)

    @property
    def fixed(self) -> int:
        return int((self.difference > 0).sum())

    @property
    def regressed(self) -> int:
        return int((self.difference < 0).sum())

    @property
    def has_judged(self) -> bool:
        return self.judge is not None and self.judged is not None and bool(self.judged.any())


@dataclass(frozen=True)
class Improvement:
    """Superiority on the target. delta and interval corrected for a judge's errors; p_value one-sided.

    explained_by_selection: it looks improved, and that the base failed these questions explains it (burnish.verdict.selection).
    """

    answer: Answer
    n: int
    delta: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    too_many_missing: bool = False
    needs: int | None = None
    explained_by_selection: bool = False


@dataclass(frozen=True)
class BadSlice:
    slice: Any
    n: int
    delta: float
    p_value: float


@dataclass(frozen=True)
class Harm:
    """Non-inferiority of the rest. answer: yes = something broke, no = the rest held.

    lower_bound: one-sided at 1 − alpha. p_value: of non-inferiority. worse_p: that the net is below 0. regressions of stable: what the
    base always passes and the candidate fails; explained: as many as margin and noise make likely.
    """

    answer: Answer
    n: int
    delta: float | None = None
    margin: float = 0.02
    lower_bound: float | None = None
    p_value: float | None = None
    worse_p: float | None = None
    net_worse: bool = False
    bad_slices: list[BadSlice] = field(default_factory=list)
    regressions: int = 0
    stable: int = 0
    explained: int = 0
    noise_unknown: bool = False
    too_many_missing: bool = False
    needs: int | None = None

    @property
    def held(self) -> bool:
        return self.answer == "no"


def find_improvement(
    targeted: Outcomes, limits: Thresholds, missing: float = 0.0, *, details: bool = True
) -> Improvement:
    """yes: one-sided sign-flip p < alpha and delta > 0. no: not yes, and the 95 % interval ends below least_improvement.

    unknown: otherwise, or no question, or a share of more than most_missing is ungraded.
    details: False leaves out needs, which decides nothing (a simulation asks a million times).
    """
    if targeted.n == 0:
        return Improvement("unknown", 0)
    p_value = sign_flip_exact(targeted.difference, targeted.group, "greater")
    delta, low, high = corrected_interval(targeted)
    too_many = missing > limits.most_missing
    answer: Answer = "unknown"
    if not too_many and p_value < limits.alpha and delta > 0:
        answer = "yes"
    elif not too_many and high < limits.least_improvement:
        answer = "no"
    needs = _targeted_needed(targeted, limits) if details and answer == "unknown" else None
    return Improvement(answer, targeted.n, delta, (low, high), p_value, too_many, needs)


def find_harm(rest: Outcomes, limits: Thresholds, missing: float = 0.0, *, details: bool = True) -> Harm:
    """yes (broke), in this order: losses among what the base always passes beyond margin and noise; the net significantly
    below 0 and estimated at −margin or worse; a slice likewise after Holm. no (held): none of these and non-inferior by
    the margin. unknown: otherwise, no question, or too many ungraded.

    Where the base was asked once its noise is unknown: too many losses then make it unknown instead of broke.
    details: False leaves out lower_bound and needs, which decide nothing (a simulation asks a million times).
    """
    if rest.n == 0:
        return Harm("unknown", 0, margin=limits.margin)
    delta = corrected_delta(rest)
    regressions, stable, explained = explained_losses(rest, limits)
    worse_p = sign_flip_exact(rest.difference, rest.group, "less")
    net_worse = worse_p < limits.alpha and delta <= -limits.margin
    bad_slices = find_bad_slices(rest, limits)
    effect = prudent_design_effect(rest.difference, rest.group)
    counts, margin = effective_counts(rest.difference, effect), visible_margin(rest, limits.margin)
    p_value = noninferiority_p(*counts, margin)
    too_many = missing > limits.most_missing
    guarded = regressions > explained and rest.self_loss is not None
    noise_unknown = regressions > explained and rest.self_loss is None
    answer: Answer = "unknown"
    if guarded or net_worse or bad_slices:
        answer = "yes"
    elif not (too_many or noise_unknown) and p_value < limits.alpha:
        answer = "no"
    bound = needs = None
    if details:
        scale = limits.margin / margin
        bound = max(-1.0, noninferiority_bound(*counts, margin, limits.alpha) * scale)
        needs = _rest_needed(rest, margin, limits.alpha, effect) if answer == "unknown" else None
    return Harm(
        answer=answer,
        n=rest.n,
        delta=delta,
        margin=limits.margin,
        lower_bound=bound,
        p_value=p_value,
        worse_p=worse_p,
        net_worse=net_worse,
        bad_slices=bad_slices,
        regressions=regressions,
        stable=stable,
        explained=explained,
        noise_unknown=noise_unknown,
        too_many_missing=too_many,
        needs=needs,
    )


def explained_losses(rest: Outcomes, limits: Thresholds) -> tuple[int, int, int]:
    """(regressions, stable, explained): how many stable questions regressed, of how many, and the most that is still likely.

    Exact binomial at the rate margin + noise, on counts over the design effect of the losses if groups regress together. Noise
    is the base's self-loss, or what the judge's own errors make of a question that held, whichever is larger (a
    repeated base measures both).
    """
    if rest.stable is None or rest.regression is None:
        return 0, 0, 0
    stable = rest.stable
    regressions_N = rest.regression[stable].astype(np.float64)
    groups = None if rest.group is None else rest.group[stable]
    effect = prudent_design_effect(-regressions_N, groups)
    chances, regressions = math.floor(stable.sum() / effect + 1e-9), int(regressions_N.sum())
    rate = min(1.0, limits.margin + max(rest.self_loss or 0.0, _judge_loss_rate(rest)))
    explained = 0
    while explained < chances and tail_probability(explained + 1, chances, rate) >= limits.alpha:
        explained += 1
    return (
        regressions,
        int(stable.sum()),
        math.ceil((explained + 1) * effect - 1e-9) - 1 if explained < chances else regressions,
    )


def _judge_loss_rate(rest: Outcomes) -> float:
    """How often a judge's errors alone make a regression of a stable question, at most (95 %); 0 if none was judged.

    A question that passes in truth is lost at 1 − the true-positive rate; one that the judge had passed by error, at the
    true-negative rate. How many are which follows from the share that it passed (Rogan–Gladen).
    """
    if not rest.has_judged or rest.stable is None:
        return 0.0
    assert rest.judged is not None
    assert rest.judge is not None
    judged_stable = rest.judged & rest.stable
    if not judged_stable.any():
        return 0.0
    positive_rate = wilson_interval(*rest.judge.true_positives, confidence=0.90)[0]
    negative_rate = rest.judge.true_negatives[0] / rest.judge.true_negatives[1]
    passed = float(judged_stable.sum() / rest.judged.sum())
    truly = min(1.0, max(0.0, (passed + negative_rate - 1) / max(positive_rate + negative_rate - 1, 1e-6)))
    wrongly = (1 - truly) * (1 - negative_rate) / max(truly * positive_rate + (1 - truly) * (1 - negative_rate), 1e-6)
    lost = (1 - wrongly) * (1 - positive_rate) + wrongly * negative_rate
    return lost * float(judged_stable.sum() / rest.stable.sum())


def find_bad_slices(rest: Outcomes, limits: Thresholds) -> list[BadSlice]:
    """Slices that are significantly worse after Holm over all slices, by an estimate of −margin or worse."""
    if rest.slice is None or rest.n == 0:
        return []
    found = []
    for name in np.unique(rest.slice):
        inside = rest.slice == name
        groups = None if rest.group is None else rest.group[inside]
        difference = rest.difference[inside]
        p_value = sign_flip_exact(difference, groups, "less")
        found.append((name, difference.size, float(difference.mean()), p_value))
    if len(found) < 2:
        return []
    adjusted = holm([p for *_, p in found])
    return [
        BadSlice(name, n, delta, p)
        for (name, n, delta, _), p in zip(found, adjusted, strict=True)
        if p < limits.alpha and delta <= -limits.margin
    ]


def corrected_delta(outcomes: Outcomes) -> float:
    """Mean difference; those that a judge graded over its Youden index (Rogan–Gladen)."""
    return corrected_interval(outcomes)[0] if outcomes.has_judged else float(outcomes.difference.mean())


def corrected_interval(outcomes: Outcomes) -> tuple[float, float, float]:
    """(delta, low, high) at 95 %; what a judge graded is corrected for its errors, with their uncertainty in the interval.

    Judged and other questions are joined as a weighted sum, intervals by MOVER. Source: Zou & Donner 2008, Stat Med
    27:1693–1702.
    """
    if not outcomes.has_judged:
        return float(outcomes.difference.mean()), *paired_interval(outcomes.difference, outcomes.group)
    judged = outcomes.judged
    assert judged is not None
    assert outcomes.judge is not None
    parts = [(float(judged.mean()), _corrected(outcomes, judged, outcomes.judge))]
    if not judged.all():
        parts.append((float((~judged).mean()), _part(outcomes, ~judged)))
    delta = sum(weight * part[0] for weight, part in parts)
    below = math.sqrt(sum((weight * (part[0] - part[1])) ** 2 for weight, part in parts))
    above = math.sqrt(sum((weight * (part[2] - part[0])) ** 2 for weight, part in parts))
    return delta, max(-1.0, delta - below), min(1.0, delta + above)


def _corrected(outcomes: Outcomes, judged: NDArray[np.bool_], judge: Judge) -> tuple[float, float, float]:
    delta, low, high = _part(outcomes, judged)
    corrected = rogan_gladen_delta(delta, (low, high), judge.true_positives, judge.true_negatives)
    if corrected is None:
        raise ValueError("the judge cannot tell a pass from a fail: its rows must not decide")
    return corrected


def _part(outcomes: Outcomes, inside: NDArray[np.bool_]) -> tuple[float, float, float]:
    groups = None if outcomes.group is None else outcomes.group[inside]
    difference = outcomes.difference[inside]
    return float(difference.mean()), *paired_interval(difference, groups)


def visible_margin(outcomes: Outcomes, margin: float) -> float:
    """The least that is seen of a true loss of `margin`: a judged difference is J times the true one, others are seen whole.

    Worst case: as much of the loss as fits is among the judged questions, at the least J that the calibration allows.
    """
    if not outcomes.has_judged or outcomes.judge is None:
        return margin
    assert outcomes.judged is not None
    found = youden_index(outcomes.judge.true_positives, outcomes.judge.true_negatives)
    if found is None:
        raise ValueError("the judge cannot tell a pass from a fail: its rows must not decide")
    return margin - min(float(outcomes.judged.mean()), margin) * (1 - found[1])


def _targeted_needed(targeted: Outcomes, limits: Thresholds) -> int | None:
    """Questions beyond these that would settle the target, groups taken to go on as they are.

    By the prudent effect: where all questions of few groups fixed, the estimate knows nothing of how they hang together.
    """
    effect = prudent_design_effect(targeted.difference, targeted.group)
    required = needs_questions(targeted.fixed, targeted.regressed, targeted.n, limits.least_improvement, limits.alpha)
    if required is None:
        return None
    return max(1, math.ceil((required + targeted.n) * max(effect, 1.0)) - targeted.n)


def _rest_needed(rest: Outcomes, margin: float, alpha: float, effect: float) -> int | None:
    """Rest questions beyond these that would show non-inferiority at 80 % power if nothing changed on the net.

    At the discordance seen, or that of the base's own noise where this is larger.
    """
    fixed, regressed, n = effective_counts(rest.difference, 1.0)
    seen = required_rest_questions((fixed + regressed) / n, margin, alpha)
    noise = required_rest_questions((rest.noise or 0.0) / rest.samples, margin, alpha)
    if seen is None or noise is None:
        return None
    return max(1, math.ceil(max(seen * effect, noise)) - rest.n)
