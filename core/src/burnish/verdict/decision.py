"""The verdict: two lists of eval rows in, a decision with every number and sentence that led to it out.

Called by the CLI and the eval client; pure. The rule stands in `decide` and nowhere else; its two claims are computed by
burnish.verdict.claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from burnish.schemas.evaluation import BaselineComparison, EvalRow, JudgeCalibration, Regression, Verdict, VerdictName
from burnish.statistics import noninferiority, youden_index
from burnish.verdict import reasons
from burnish.verdict.claims import Answer, Harm, Improvement, Thresholds, find_harm, find_improvement
from burnish.verdict.comparisons import (
    PairsByRole,
    compare,
    compare_mean_scores,
    compare_slices,
    count_groups,
    judge_counts,
    noise_floor,
    outcomes,
)
from burnish.verdict.pairing import Pair, pair

Baselines = Mapping[str, tuple[str, Sequence[EvalRow]]]

TABLE: dict[tuple[Answer, Answer], VerdictName] = {  # (improved, broke)
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
HELD_BEST_FIRST: tuple[Answer, ...] = ("no", "unknown", "yes")


def decide(
    base: Sequence[EvalRow],
    candidate: Sequence[EvalRow],
    *,
    thresholds: Thresholds | None = None,
    calibration: JudgeCalibration | None = None,
    baselines: Baselines | None = None,
) -> Verdict:
    """The verdict on a candidate, by two claims and one table.

    Both claims are about the paired difference a question: the mean of the candidate's samples − that of the base's, as many
    of either side. Questions of one group (the same `cluster` in their rows) count as one in every test (burnish.verdict.claims has the numbers).
    Did it improve? On held-out targeted questions; superiority.
      yes      one-sided exact sign-flip p < alpha (McNemar's where each question stands alone and is asked once), delta > 0
      no       not yes, and the 95 % interval of delta ends below least_improvement
      unknown  otherwise (too few questions), or more than most_missing of them could not be graded
    Did something break? On held-out questions outside the target; non-inferiority by `margin`.
      yes      any of: questions that the base passes in all its samples regress more often than margin + the base's own
               self-loss rate explains (exact binomial at alpha: fixes elsewhere do not hide broken things);
               delta <= −margin and significantly below 0 (one-sided, alpha); a slice likewise after Holm over all slices
      no       none of these, and delta > −margin is shown (exact, one-sided, alpha). At 2 points and no regression: 149 questions
      unknown  otherwise: too few questions, more than most_missing ungraded, or losses that could be noise, which nobody
               measured (base asked once)
    Table (improved/broke): yes/no ship, yes/yes investigate, no/no and no/unknown data-quality, no/yes stop, else inconclusive.

    Questions that were trained on are shown and never decide. Nor do those that a judge graded, unless `calibration` is that
    judge's and shows that it can tell a pass from a fail: then delta and interval are corrected for its errors (Rogan–Gladen),
    and the margin is shrunk by the least that it sees of a true difference.
    baselines: name -> (what it does, its rows): the base by cheaper means. A baseline does it if it improves the target, holds the rest
    as well as the candidate does, and on the target is either shown to be worse than the candidate by less than arm_margin, or is
    estimated at least as good: an adapter that is not ahead has not earned its cost, and few questions show no equivalence.
    That leads the reasons; it never changes the word.

    Raises InvalidInputError for what cannot be compared (see burnish.verdict.pairing.pair).
    """
    limits = thresholds or Thresholds()
    pairing = pair(base, candidate)
    by_role = PairsByRole(pairing, usable_calibration(calibration))
    targeted, rest = compare(by_role.targeted, "greater", by_role.judge), compare(by_role.rest, judge=by_role.judge)
    rest_outcomes = outcomes(by_role.rest, by_role.judge)
    improvement = find_improvement(outcomes(by_role.targeted, by_role.judge), limits, by_role.missing_targeted)
    harm = find_harm(rest_outcomes, limits, by_role.missing_rest)
    compared = [
        _compare_baseline(name, what, rows, base, candidate, (improvement, harm), by_role, limits)
        for name, (what, rows) in (baselines or {}).items()
    ]
    first, last = reasons.baseline_reasons(compared)
    noise = noise_floor(by_role.rest)
    return Verdict(
        verdict=TABLE[improvement.answer, harm.answer],
        targeted=targeted,
        trained=compare(by_role.trained),
        rest=rest,
        anchored=compare(by_role.anchored),
        regressions=[_regression(p) for p in by_role.rest if p.is_regression],
        noise_flip_rate=None if noise is None else noise.flip_rate,
        flaky_questions=[] if noise is None else list(noise.flaky),
        slices=compare_slices(by_role.targeted + by_role.rest, judge=by_role.judge),
        needs_questions=improvement.needs,
        needs_rest_questions=harm.needs,
        margin=limits.margin,
        targeted_score=compare_mean_scores(by_role.targeted, "greater"),
        rest_score=compare_mean_scores(by_role.rest),
        noise=noise,
        clusters=count_groups(by_role.targeted + by_role.rest),
        calibration=calibration,
        judged=compare(by_role.judged) if by_role.judged else None,
        arms=compared,
        cheaper_rung=next((one.name for one in compared if one.does_it), None),
        reasons=[
            *first,
            *reasons.improvement_reasons(improvement, targeted, limits),
            *reasons.harm_reasons(harm, rest, limits),
            *last,
        ],
        warnings=reasons.warnings(by_role, rest_outcomes, pairing.unpaired, calibration, limits),
    )


def usable_calibration(calibration: JudgeCalibration | None) -> JudgeCalibration | None:
    """None where the calibrated judge is no better than a coin, as far as its labelled answers tell."""
    if calibration is None:
        return None
    counts = judge_counts(calibration)
    return calibration if youden_index(counts.true_positives, counts.true_negatives) else None


def _compare_baseline(
    name: str,
    what: str,
    rows: Sequence[EvalRow],
    base: Sequence[EvalRow],
    candidate: Sequence[EvalRow],
    claims: tuple[Improvement, Harm],
    decided: PairsByRole,
    limits: Thresholds,
) -> BaselineComparison:
    """One baseline against the base, and against the candidate on the questions that decide the target."""
    side = f"baseline {name}"
    against_base = pair(base, rows, ("base", side))
    against_candidate = pair(candidate, rows, ("candidate", side))
    questions = {p.question_id for p in (*decided.targeted, *decided.rest)}
    of_baseline = [p for p in against_base.pairs if p.question_id in questions]
    baseline_targeted, baseline_rest = (
        [p for p in of_baseline if p.targeted],
        [p for p in of_baseline if not p.targeted],
    )
    versus = [p for p in against_candidate.pairs if p.targeted and p.question_id in questions]
    improvement = find_improvement(
        outcomes(baseline_targeted, decided.judge), limits, _lost_share(baseline_targeted, decided.targeted)
    )
    harm = find_harm(outcomes(baseline_rest, decided.judge), limits, _lost_share(baseline_rest, decided.rest))
    difference = outcomes(versus, decided.judge)
    comparison = compare(versus, judge=decided.judge)
    bound, p_value = noninferiority(difference.difference, difference.group, limits.arm_margin, limits.alpha)
    as_good = p_value < limits.alpha or (comparison.delta is not None and comparison.delta >= 0)
    held = HELD_BEST_FIRST.index(harm.answer) <= HELD_BEST_FIRST.index(claims[1].answer)
    return BaselineComparison(
        name=name,
        what=what,
        targeted=compare(baseline_targeted, "greater", decided.judge),
        rest=compare(baseline_rest, judge=decided.judge),
        against_candidate=comparison,
        does_it=improvement.answer == "yes" and held and as_good,
        reason=reasons.baseline_reason(improvement, harm, comparison, bound, limits),
    )


def _lost_share(found: Sequence[Pair], of: Sequence[Pair]) -> float:
    return 1 - len(found) / len(of) if of else 0.0


def _regression(p: Pair) -> Regression:
    return Regression(
        question_id=p.question_id,
        slice=p.slice,
        targeted=p.targeted,
        base_answer=p.base_answer,
        candidate_answer=p.candidate_answer,
    )
