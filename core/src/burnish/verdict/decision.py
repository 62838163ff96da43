"""The verdict: two lists of eval rows in, a decision with every number and sentence that led to it out.

Called by the CLI and the eval client; pure. The rule stands in `decide` and nowhere else; its two claims are computed by
burnish.verdict.claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from burnish.schemas.evaluation import ArmComparison, EvalRow, JudgeCalibration, Regression, Verdict, VerdictName
from burnish.statistics import noninferiority, youden_index
from burnish.verdict import reasons
from burnish.verdict.claims import Answer, Harm, Improvement, Thresholds, find_harm, find_improvement
from burnish.verdict.comparisons import (
    Groups,
    compare,
    compare_mean_scores,
    compare_slices,
    count_clusters,
    judge_counts,
    noise_floor,
    outcomes,
)
from burnish.verdict.pairing import Pair, pair, read_calibration, read_rows

__all__ = ["Thresholds", "compare", "decide", "read_calibration", "read_rows", "usable_calibration"]

Arms = Mapping[str, tuple[str, Sequence[EvalRow]]]

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
    arms: Arms | None = None,
) -> Verdict:
    """The verdict on a candidate, by two claims and one table.

    Both claims are about the paired difference a question: the mean of the candidate's samples − that of the base's, as many
    of either side. Questions with the same `cluster` count as one in every test (burnish.verdict.claims has the numbers).
    Did it improve? On held-out targeted questions; superiority.
      yes      one-sided exact sign-flip p < alpha (McNemar's where each question stands alone and is asked once), delta > 0
      no       not yes, and the 95 % interval of delta ends below least_improvement
      unknown  otherwise (too few questions), or more than most_missing of them could not be graded
    Did something break? On held-out questions outside the target; non-inferiority by `margin`.
      yes      any of: questions that the base passes in all its samples are lost more often than margin + the base's own
               self-loss rate explains (exact binomial at alpha: gains elsewhere do not hide broken things);
               delta <= −margin and significantly below 0 (one-sided, alpha); a slice likewise after Holm over all slices
      no       none of these, and delta > −margin is shown (exact, one-sided, alpha). At 2 points and no loss: 149 questions
      unknown  otherwise: too few questions, more than most_missing ungraded, or losses that could be noise, which nobody
               measured (base asked once)
    Table (improved/broke): yes/no ship, yes/yes investigate, no/no and no/unknown data-quality, no/yes stop, else inconclusive.

    Questions that were trained on are shown and never decide. Nor do those that a judge graded, unless `calibration` is that
    judge's and shows that it can tell a pass from a fail: then delta and interval are corrected for its errors (Rogan–Gladen),
    and the margin is shrunk by the least that it sees of a true difference.
    arms: name -> (what it does, its rows): the base by cheaper means. An arm does it if it improves the target, holds the rest
    as well as the candidate does, and on the target is either shown to be worse than the candidate by less than arm_margin, or is
    estimated at least as good: an adapter that is not ahead has not earned its cost, and few questions show no equivalence.
    That leads the reasons; it never changes the word.

    Raises InvalidInputError for what cannot be compared (see burnish.verdict.pairing.pair).
    """
    limits = thresholds or Thresholds()
    pairing = pair(base, candidate)
    groups = Groups(pairing, usable_calibration(calibration))
    targeted, rest = compare(groups.targeted, "greater", groups.judge), compare(groups.rest, judge=groups.judge)
    rest_outcomes = outcomes(groups.rest, groups.judge)
    improvement = find_improvement(outcomes(groups.targeted, groups.judge), limits, groups.missing_targeted)
    harm = find_harm(rest_outcomes, limits, groups.missing_rest)
    compared = [
        _compare_arm(name, what, rows, base, candidate, (improvement, harm), groups, limits)
        for name, (what, rows) in (arms or {}).items()
    ]
    first, last = reasons.arm_reasons(compared)
    noise = noise_floor(groups.rest)
    return Verdict(
        verdict=TABLE[improvement.answer, harm.answer],
        targeted=targeted,
        trained=compare(groups.trained),
        rest=rest,
        anchored=compare(groups.anchored),
        regressions=[_regression(p) for p in groups.rest if p.is_regression],
        noise_flip_rate=None if noise is None else noise.flip_rate,
        flaky_questions=[] if noise is None else list(noise.flaky),
        slices=compare_slices(groups.targeted + groups.rest, judge=groups.judge),
        needs_questions=improvement.needs,
        needs_rest_questions=harm.needs,
        margin=limits.margin,
        targeted_score=compare_mean_scores(groups.targeted, "greater"),
        rest_score=compare_mean_scores(groups.rest),
        noise=noise,
        clusters=count_clusters(groups.targeted + groups.rest),
        calibration=calibration,
        judged=compare(groups.judged) if groups.judged else None,
        arms=compared,
        cheaper_rung=next((arm.name for arm in compared if arm.does_it), None),
        reasons=[
            *first,
            *reasons.improvement_reasons(improvement, targeted, limits),
            *reasons.harm_reasons(harm, rest, limits),
            *last,
        ],
        warnings=reasons.warnings(groups, rest_outcomes, pairing.unpaired, calibration, limits),
    )


def usable_calibration(calibration: JudgeCalibration | None) -> JudgeCalibration | None:
    """None where the calibrated judge is no better than a coin, as far as its labelled answers tell."""
    if calibration is None:
        return None
    counts = judge_counts(calibration)
    return calibration if youden_index(counts.true_positives, counts.true_negatives) else None


def _compare_arm(
    name: str,
    what: str,
    rows: Sequence[EvalRow],
    base: Sequence[EvalRow],
    candidate: Sequence[EvalRow],
    claims: tuple[Improvement, Harm],
    decided: Groups,
    limits: Thresholds,
) -> ArmComparison:
    """One arm against the base, and against the candidate on the questions that decide the target."""
    side = f"arm {name}"
    against_base = pair(base, rows, ("base", side))
    against_candidate = pair(candidate, rows, ("candidate", side))
    questions = {p.question_id for p in (*decided.targeted, *decided.rest)}
    of_arm = [p for p in against_base.pairs if p.question_id in questions]
    arm_targeted, arm_rest = [p for p in of_arm if p.targeted], [p for p in of_arm if not p.targeted]
    versus = [p for p in against_candidate.pairs if p.targeted and p.question_id in questions]
    improvement = find_improvement(
        outcomes(arm_targeted, decided.judge), limits, _lost_share(arm_targeted, decided.targeted)
    )
    harm = find_harm(outcomes(arm_rest, decided.judge), limits, _lost_share(arm_rest, decided.rest))
    difference = outcomes(versus, decided.judge)
    comparison = compare(versus, judge=decided.judge)
    bound, p_value = noninferiority(difference.difference, difference.cluster, limits.arm_margin, limits.alpha)
    as_good = p_value < limits.alpha or (comparison.delta is not None and comparison.delta >= 0)
    held = HELD_BEST_FIRST.index(harm.answer) <= HELD_BEST_FIRST.index(claims[1].answer)
    return ArmComparison(
        name=name,
        what=what,
        targeted=compare(arm_targeted, "greater", decided.judge),
        rest=compare(arm_rest, judge=decided.judge),
        against_candidate=comparison,
        does_it=improvement.answer == "yes" and held and as_good,
        reason=reasons.arm_reason(improvement, harm, comparison, bound, limits),
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
