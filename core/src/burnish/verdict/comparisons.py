"""Pairs of graded questions turned into arrays, comparisons and a noise floor. Called by burnish.verdict.decision and the eval client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from burnish.schemas.evaluation import Comparison, JudgeCalibration, NoiseFloor, ScoreComparison, SliceComparison
from burnish.statistics import (
    Alternative,
    compare_scores,
    disagreement_rate,
    flip_rate,
    holm,
    self_loss_rate,
    sign_flip_exact,
)
from burnish.verdict.claims import Judge, Outcomes, corrected_interval
from burnish.verdict.pairing import Pair, Pairing
from burnish.verdict.selection import Overall, Population

LEAST_REPEATED = 50  # rest questions asked more than once, from which the base's noise counts as measured


class PairsByRole:
    """Pairs by what they may decide. calibrated: the calibration, where its judge can tell a pass from a fail.

    judged: held-out questions that a judge without a calibration graded, on either side: in no other group that decides.
    """

    def __init__(self, pairing: Pairing, calibrated: JudgeCalibration | None = None) -> None:
        trusted = frozenset() if calibrated is None else frozenset({calibrated.judge})
        held_out = [p for p in pairing.pairs if p.held_out]
        self.judged = [p for p in held_out if p.judges - trusted]
        self.targeted = [p for p in held_out if p.targeted and not p.judges - trusted]
        self.rest = [p for p in held_out if not p.targeted and not p.judges - trusted]
        self.trained = [p for p in pairing.pairs if p.targeted and not p.held_out]
        self.anchored = [p for p in pairing.pairs if not p.targeted and not p.held_out]
        self.calibrated = calibrated
        self.judge = None if calibrated is None else judge_counts(calibrated)
        self.missing_targeted = _missing_share(pairing, self.targeted, targeted=True)
        self.missing_rest = _missing_share(pairing, self.rest, targeted=False)

    def only(self, questions: Collection[str]) -> PairsByRole:
        """Itself, with these questions alone among those that decide."""
        self.targeted = [p for p in self.targeted if p.question_id in questions]
        self.rest = [p for p in self.rest if p.question_id in questions]
        return self


def judge_counts(calibration: JudgeCalibration) -> Judge:
    """The counts that a calibration's rates came from."""
    passed, failed = calibration.positives, calibration.n - calibration.positives
    return Judge(
        (round(calibration.true_positive_rate * passed), passed),
        (round(calibration.true_negative_rate * failed), failed),
    )


def outcomes(pairs: Sequence[Pair], judge: Judge | None = None) -> Outcomes:
    """The arrays that the claims are made on."""
    base = [p.base for p in pairs]
    grouped = any(p.group is not None for p in pairs)
    return Outcomes(
        difference=np.array([p.candidate_rate - p.base_rate for p in pairs], dtype=np.float64),
        group=np.array(_group_labels(pairs)) if grouped else None,
        slice=np.array([p.slice for p in pairs]),
        stable=np.array([all(p.base) for p in pairs], dtype=bool),
        regression=np.array([p.is_regression for p in pairs], dtype=bool),
        judged=np.array([bool(p.judges) for p in pairs], dtype=bool),
        judge=judge,
        self_loss=self_loss_rate(base) if _noise_is_measured(base) else None,
        noise=disagreement_rate(base) if _noise_is_measured(base) else None,
        samples=min((p.samples for p in pairs), default=1),
    )


def _noise_is_measured(base: Sequence[Sequence[bool]]) -> bool:
    """Enough questions were asked twice: LEAST_REPEATED, or all if there are fewer."""
    repeated = sum(len(passes) > 1 for passes in base)
    return repeated > 0 and repeated >= min(len(base), LEAST_REPEATED)


def population(by_role: PairsByRole) -> Population:
    """All held-out questions that decide, each with the number of questions that it stands for.

    A targeted question stands for those that were trained on too, one that the base passes for the replay rows too.
    """
    pairs = [*by_role.targeted, *by_role.rest]
    left_out = [*by_role.trained, *by_role.anchored]
    grouped = any(p.group is not None for p in pairs)
    return Population(
        difference=np.array([p.candidate_rate - p.base_rate for p in pairs], dtype=np.float64),
        base=np.array([p.base_rate for p in pairs], dtype=np.float64),
        weight=_stands_for(pairs, left_out, lambda p: (p.targeted, p.targeted or p.base_passed)),
        targeted=np.array([p.targeted for p in pairs], dtype=bool),
        weight_in_slice=_stands_for(pairs, left_out, lambda p: (p.targeted, p.targeted or p.base_passed, p.slice)),
        group=np.array(_group_labels(pairs)) if grouped else None,
        slice=np.array([p.slice for p in pairs]),
    )


def _stands_for(
    pairs: Sequence[Pair], left_out: Sequence[Pair], kind: Callable[[Pair], tuple[object, ...]]
) -> NDArray[np.float64]:
    """(N,) questions of a pair's kind, over those of them that are held out."""
    held, others = Counter(map(kind, pairs)), Counter(map(kind, left_out))
    return np.array([1 + others[kind(p)] / held[kind(p)] for p in pairs], dtype=np.float64)


def compare_overall(found: Overall | None) -> Comparison | None:
    """The overall accuracy as a comparison; fixed and regressed in whole questions of the benchmark."""
    if found is None:
        return None
    return Comparison(
        n=found.n,
        base=found.base,
        candidate=found.candidate,
        delta=found.delta,
        ci_low=found.interval[0],
        ci_high=found.interval[1],
        p_value=found.p_value,
        gained=round(found.fixed),
        lost=round(found.regressed),
    )


def chance_level(pairs: Sequence[Pair]) -> float | None:
    """Mean chance level; None unless each question has one."""
    known = [p.chance for p in pairs if p.chance is not None]
    return sum(known) / len(known) if known and len(known) == len(pairs) else None


def compare(pairs: Sequence[Pair], alternative: Alternative = "two-sided", judge: Judge | None = None) -> Comparison:
    """Pass rates, difference, interval and exact p-value; all None for no pairs.

    gained, lost: questions that the candidate passes more, or less, often. delta and interval are corrected where a judge graded.
    """
    n = len(pairs)
    if n == 0:
        return Comparison(n=0, base=None, candidate=None, delta=None, ci_low=None, ci_high=None, p_value=None)
    paired = outcomes(pairs, judge)
    delta, low, high = corrected_interval(paired)
    return Comparison(
        n=n,
        base=sum(p.base_rate for p in pairs) / n,
        candidate=sum(p.candidate_rate for p in pairs) / n,
        delta=delta,
        ci_low=low,
        ci_high=high,
        p_value=sign_flip_exact(paired.difference, paired.group, alternative),
        gained=paired.fixed,
        lost=paired.regressed,
    )


def compare_slices(
    pairs: Sequence[Pair], alternative: Alternative = "two-sided", judge: Judge | None = None
) -> list[SliceComparison]:
    """One comparison a slice, by name, with p-values corrected by Holm over the slices."""
    names = sorted({p.slice for p in pairs})
    comparisons = [compare([p for p in pairs if p.slice == name], alternative, judge) for name in names]
    adjusted = holm([c.p_value if c.p_value is not None else 1.0 for c in comparisons])
    return [
        SliceComparison(slice=name, **(comparison.model_dump() | {"p_value": p}))
        for name, comparison, p in zip(names, comparisons, adjusted, strict=True)
    ]


def compare_mean_scores(pairs: Sequence[Pair], alternative: Alternative = "two-sided") -> ScoreComparison | None:
    """Scores beside pass/fail; None where a score is missing, or all of them only repeat pass and fail."""
    scored = [(p.base_score, p.candidate_score) for p in pairs]
    base = [score for score, _ in scored if score is not None]
    candidate = [score for _, score in scored if score is not None]
    if not pairs or min(len(base), len(candidate)) < len(pairs):
        return None
    if base == [p.base_rate for p in pairs] and candidate == [p.candidate_rate for p in pairs]:
        return None
    grouped = any(p.group is not None for p in pairs)
    return compare_scores(base, candidate, _group_labels(pairs) if grouped else None, alternative)


def noise_floor(rest: Sequence[Pair]) -> NoiseFloor | None:
    """The base against itself on the rest questions; None without any."""
    if not rest:
        return None
    base = [p.base for p in rest]
    return NoiseFloor(
        samples=max(len(passes) for passes in base),
        questions=sum(len(passes) > 1 for passes in base),
        flip_rate=flip_rate(base),
        self_loss_rate=self_loss_rate(base),
        flaky={p.question_id: disagreement_rate([p.base]) or 0.0 for p in rest if p.is_flaky},
    )


def count_groups(pairs: Sequence[Pair]) -> int:
    """Independent groups of questions."""
    return len(set(_group_labels(pairs)))


def _group_labels(pairs: Sequence[Pair]) -> list[str]:
    """A question without a group is one of its own; the prefixes keep the two kinds of names apart."""
    return [f"question {p.question_id}" if p.group is None else f"group {p.group}" for p in pairs]


def _missing_share(pairing: Pairing, pairs: Sequence[Pair], *, targeted: bool) -> float:
    missing = sum(u.held_out and u.targeted == targeted for u in pairing.unpaired)
    return missing / (missing + len(pairs)) if missing else 0.0
