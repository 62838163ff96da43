"""The verdict: two lists of eval rows in, a decision with every number and sentence that led to it out.

Called by the CLI and the eval client; pure. The rule stands in `decide` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from burnish.pairing import Pair, Pairing, Unpaired, name_some, pair, read_rows
from burnish.schemas.evaluation import Comparison, EvalRow, Regression, SliceComparison, Verdict, VerdictName
from burnish.statistics import (
    Alternative,
    flip_rate,
    holm,
    mcnemar_exact,
    needs_questions,
    self_loss_rate,
    tail_probability,
    tango_interval,
)

__all__ = ["Thresholds", "decide", "read_rows"]

Answer = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class Thresholds:
    """What counts as shown. Rates and levels in [0, 1].

    alpha: one-sided level of each claim. least_improvement: smaller gains on the cluster are not worth an adapter.
    tolerated_loss_rate: share of stable rest questions whose loss, beyond noise, is still called nothing. least_rest:
    fewer rest questions than this cannot show that nothing broke. most_missing: share of questions that may go ungraded.
    notable_drop: a drop of the rest that the interval still allows is warned of from here on; it does not decide.
    """

    alpha: float = 0.05
    least_improvement: float = 0.10
    tolerated_loss_rate: float = 0.01
    least_rest: int = 20
    most_missing: float = 0.10
    notable_drop: float = 0.05


@dataclass(frozen=True)
class Finding:
    """The answer to one of the two questions, with the sentences that say why, most decisive first."""

    answer: Answer
    reasons: list[str]


TABLE: dict[tuple[Answer, Answer], VerdictName] = {
    ("yes", "no"): "ship",
    ("yes", "yes"): "investigate",
    ("no", "no"): "data-quality",
    ("no", "unknown"): "data-quality",
    ("no", "yes"): "stop",
    ("yes", "unknown"): "inconclusive",
    ("unknown", "no"): "inconclusive",
    ("unknown", "yes"): "inconclusive",
    ("unknown", "unknown"): "inconclusive",
}


def decide(base: Sequence[EvalRow], candidate: Sequence[EvalRow], *, thresholds: Thresholds | None = None) -> Verdict:
    """The verdict on a candidate, by two questions and one table.

    Did it improve? On held-out targeted questions, paired (see burnish.pairing.Pair for several samples).
      yes      one-sided exact McNemar p < alpha, and delta > 0
      no       not yes, and the 95 % Tango interval of delta ends below least_improvement
      unknown  otherwise (too few questions), or more than most_missing of them could not be graded
    Did something break? On held-out questions outside the cluster. A regression is a question that the base passes in
    every one of its samples and the candidate fails; flaky questions of the base are noise and named as such.
      yes      regressions are more than noise explains: among the questions the base always passes, exact binomial
               P(as many or more) < alpha at the rate tolerated_loss_rate + self-loss rate of the base (how often the
               base, asked once more, loses a question that it always passed; 0 and a warning where it was asked once)
               or they got worse by more than tolerated_loss_rate and the one-sided exact McNemar test says so at
               alpha: all of them, or one slice after Holm
      unknown  not yes, and fewer than least_rest questions, or more than most_missing of them ungraded
      no       otherwise. At the defaults and no noise: 3 lost of 100 pass, 4 block; 2 of 50 pass, 3 block
    Table: yes/no ship, yes/yes investigate, no/no and no/unknown data-quality, no/yes stop, all else inconclusive.

    Questions that were trained on are shown and never decide. Raises InvalidInputError for what cannot be compared
    (see burnish.pairing.pair).
    """
    limits = thresholds or Thresholds()
    pairing = pair(base, candidate)
    groups = _Groups(pairing)
    targeted = compare(groups.targeted, "greater")
    improvement = _find_improvement(targeted, _missing_share(pairing, groups.targeted, targeted=True), limits)
    harm = _find_harm(groups.rest, _missing_share(pairing, groups.rest, targeted=False), limits)
    name = TABLE[improvement.answer, harm.answer]
    return Verdict(
        verdict=name,
        targeted=targeted,
        trained=compare(groups.trained),
        rest=compare(groups.rest),
        anchored=compare(groups.anchored),
        regressions=[_regression(p) for p in groups.rest if p.is_regression],
        noise_flip_rate=flip_rate([p.base for p in groups.rest]),
        flaky_questions=[p.question_id for p in groups.rest if p.is_flaky],
        slices=compare_slices(groups.targeted + groups.rest),
        needs_questions=_questions_needed(targeted, limits) if improvement.answer == "unknown" else None,
        reasons=[*improvement.reasons, *harm.reasons],
        warnings=_warnings(pairing, groups, limits),
    )


class _Groups:
    """Pairs by what they may decide."""

    def __init__(self, pairing: Pairing) -> None:
        self.targeted = [p for p in pairing.pairs if p.targeted and p.held_out]
        self.trained = [p for p in pairing.pairs if p.targeted and not p.held_out]
        self.rest = [p for p in pairing.pairs if not p.targeted and p.held_out]
        self.anchored = [p for p in pairing.pairs if not p.targeted and not p.held_out]


def compare(pairs: Sequence[Pair], alternative: Alternative = "two-sided") -> Comparison:
    """Pass rates, difference, interval and exact p-value; all None for no pairs."""
    n = len(pairs)
    if n == 0:
        return Comparison(n=0, base=None, candidate=None, delta=None, ci_low=None, ci_high=None, p_value=None)
    gained = sum(p.candidate_passed and not p.base_passed for p in pairs)
    lost = sum(p.base_passed and not p.candidate_passed for p in pairs)
    ci_low, ci_high = tango_interval(gained, lost, n)
    return Comparison(
        n=n,
        base=sum(p.base_passed for p in pairs) / n,
        candidate=sum(p.candidate_passed for p in pairs) / n,
        delta=(gained - lost) / n,
        ci_low=ci_low,
        ci_high=ci_high,
        p_value=mcnemar_exact(gained, lost, alternative),
        gained=gained,
        lost=lost,
    )


def compare_slices(pairs: Sequence[Pair], alternative: Alternative = "two-sided") -> list[SliceComparison]:
    """One comparison a slice, by name, with p-values corrected by Holm over the slices."""
    names = sorted({p.slice for p in pairs})
    comparisons = [compare([p for p in pairs if p.slice == name], alternative) for name in names]
    adjusted = holm([c.p_value if c.p_value is not None else 1.0 for c in comparisons])
    return [
        SliceComparison(slice=name, **(comparison.model_dump() | {"p_value": p}))
        for name, comparison, p in zip(names, comparisons, adjusted, strict=True)
    ]


def _find_improvement(targeted: Comparison, missing: float, limits: Thresholds) -> Finding:
    if targeted.n == 0 or targeted.delta is None or targeted.p_value is None or targeted.ci_high is None:
        return Finding(
            "unknown", ["No held-out targeted question could be compared, so nothing shows whether it improved."]
        )
    numbers = f"{_change(targeted)}, {targeted.gained} gained and {targeted.lost} lost, one-sided exact p = {_p(targeted.p_value)}"
    if missing > limits.most_missing:
        return Finding(
            "unknown",
            [
                f"{missing:.0%} of the held-out targeted questions could not be graded, too many to conclude ({numbers})."
            ],
        )
    if targeted.p_value < limits.alpha and targeted.delta > 0:
        return Finding("yes", [f"The held-out targeted questions improved: {numbers}."])
    if targeted.ci_high < limits.least_improvement:
        return Finding(
            "no",
            [f"The held-out targeted questions did not improve by {limits.least_improvement:.0%} or more: {numbers}."],
        )
    return Finding("unknown", [f"Too few held-out targeted questions to tell whether it improved: {numbers}."])


def _find_harm(rest: Sequence[Pair], missing: float, limits: Thresholds) -> Finding:
    comparison = compare(rest, "less")
    if comparison.p_value is None:
        return Finding(
            "unknown", ["No question outside the cluster could be compared, so nothing shows that the rest held."]
        )
    stable = [p for p in rest if all(p.base)]
    lost = sum(p.is_regression for p in stable)
    rate = min(1.0, limits.tolerated_loss_rate + (self_loss_rate([p.base for p in rest]) or 0.0))
    explained = _largest_explained(len(stable), rate, limits.alpha)
    counts = f"{lost} of {len(stable)} rest questions that the base always passes were lost; noise and tolerance explain up to {explained}"
    overall = f"Rest: {_change(comparison)}."
    reasons = [f"Something else broke: {counts}."] if lost > explained else []
    if _is_worse(comparison, limits):
        reasons.append(f"The rest got worse on the whole: one-sided exact p = {_p(comparison.p_value)}.")
    reasons += [
        f"Slice {s.slice!r} of the rest got worse: {_change(s)}, p = {_p(s.p_value)} after Holm."
        for s in compare_slices(rest, "less")
        if _is_worse(s, limits)
    ]
    if reasons:
        return Finding("yes", [*reasons, overall])
    if len(rest) < limits.least_rest:
        return Finding(
            "unknown",
            [
                f"Only {len(rest)} questions outside the cluster: at least {limits.least_rest} are needed to say that the rest held.",
                overall,
            ],
        )
    if missing > limits.most_missing:
        return Finding(
            "unknown",
            [f"{missing:.0%} of the rest questions could not be graded, too many to say that the rest held.", overall],
        )
    return Finding("no", [f"Nothing else broke beyond noise: {counts}.", overall])


def _is_worse(c: Comparison, limits: Thresholds) -> bool:
    """Worse by more than is tolerated, and not by chance. c.p_value must be that of the `less` alternative."""
    return (
        c.delta is not None
        and c.p_value is not None
        and c.delta < -limits.tolerated_loss_rate
        and c.p_value < limits.alpha
    )


def _largest_explained(chances: int, rate: float, alpha: float) -> int:
    """The most losses that are still likely (probability of as many or more at least alpha) at this rate."""
    losses = 0
    while losses < chances and tail_probability(losses + 1, chances, rate) >= alpha:
        losses += 1
    return losses


def _missing_share(pairing: Pairing, pairs: Sequence[Pair], *, targeted: bool) -> float:
    missing = sum(u.held_out and u.targeted == targeted for u in pairing.unpaired)
    return missing / (missing + len(pairs)) if missing else 0.0


def _questions_needed(targeted: Comparison, limits: Thresholds) -> int | None:
    return needs_questions(targeted.gained, targeted.lost, targeted.n, limits.least_improvement, limits.alpha)


def _regression(p: Pair) -> Regression:
    return Regression(
        question_id=p.question_id,
        slice=p.slice,
        targeted=p.targeted,
        base_answer=p.base_answer,
        candidate_answer=p.candidate_answer,
    )


def _warnings(pairing: Pairing, groups: _Groups, limits: Thresholds) -> list[str]:
    warnings = [_ungraded(pairing.unpaired)] if pairing.unpaired else []
    lowest = compare(groups.rest).ci_low
    if lowest is not None and lowest <= -limits.notable_drop:
        warnings.append(
            f"{len(groups.rest)} rest questions leave room for a drop of up to {-100 * lowest:.1f} points (95 % interval): "
            "more of them would narrow it."
        )
    if groups.rest and not any(len(p.base) > 1 for p in groups.rest):
        warnings.append("The base was asked once, so its noise is not measured and counted as none: ask it twice.")
    flaky = [p.question_id for p in groups.rest if p.is_flaky]
    if flaky:
        warnings.append(
            f"{len(flaky)} rest questions are flaky in the base itself and count as noise: {name_some(flaky)}."
        )
    if not groups.anchored and not groups.trained:
        warnings.append("No question is marked as trained on: if rows came from these questions, held_out is wrong.")
    return warnings


def _ungraded(unpaired: Sequence[Unpaired]) -> str:
    names = name_some([u.question_id for u in unpaired])
    return f"{len(unpaired)} questions could not be graded on both sides and are left out ({names}); the first: {unpaired[0].reason}"


def _change(c: Comparison) -> str:
    """`10.0 % → 90.0 % of 30, change +80.0 points (95 % interval +58.1 to +90.2)`; only for n > 0."""
    rates = f"{100 * (c.base or 0):.1f} % → {100 * (c.candidate or 0):.1f} % of {c.n}"
    return f"{rates}, change {_points(c.delta)} points (95 % interval {_points(c.ci_low)} to {_points(c.ci_high)})"


def _points(share: float | None) -> str:
    return f"{100 * (share or 0.0):+.1f}".replace("-", "−")


def _p(value: float | None) -> str:
    return "—" if value is None else f"{value:.2g}" if value >= 0.0001 else f"{value:.0e}"
