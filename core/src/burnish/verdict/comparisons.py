"""Pairs of graded questions turned into arrays, comparisons and a noise floor. Called by burnish.verdict.decision and the eval client."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
        self.judge = None if calibrated is None else judge_counts(calibrated)
        self.missing_targeted = _missing_share(pairing, self.targeted, targeted=True)
        self.missing_rest = _missing_share(pairing, self.rest, targeted=False)


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
        self_loss=self_loss_rate(base) if any(len(b) > 1 for b in base) else None,
        noise=disagreement_rate(base),
        samples=min((p.samples for p in pairs), default=1),
    )


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
