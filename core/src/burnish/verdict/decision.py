"""The verdict: two lists of eval rows in, a decision with every number and sentence that led to it out.

Called by the CLI and the eval client; pure. The rule stands in `decide` and nowhere else; its two claims are computed by
burnish.verdict.claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from burnish.schemas.evaluation import BaselineComparison, EvalRow, JudgeCalibration, Regression, Verdict, VerdictName
from burnish.statistics import noninferiority, youden_index
from burnish.verdict import reasons
from burnish.verdict.claims import (
    Answer,
    Harm,
    Improvement,
    Outcomes,
    Thresholds,
    find_harm,
    find_improvement,
    visible_margin,
)
from burnish.verdict.comparisons import (
    PairsByRole,
    chance_level,
    compare,
    compare_mean_scores,
    compare_overall,
    compare_slices,
    count_groups,
    judge_counts,
    noise_floor,
    outcomes,
    population,
)
from burnish.verdict.pairing import Pair, pair
from burnish.verdict.selection import Overall, find_overall, withstand_selection

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
      yes      one-sided exact sign-flip p < alpha (McNemar's where each question stands alone and is asked once), delta > 0,
               and selection does not explain it: over all questions, weighted to the benchmark, or over one slice, more
               were fixed than regressed (alpha; burnish.verdict.selection says why)
      no       not yes, and the 95 % interval of delta ends below least_improvement (above the chance level, if selection explains it)
      unknown  otherwise (too few questions), or more than most_missing of them could not be graded
    Did something break? On held-out questions outside the target; non-inferiority by `margin`.
      yes      any of: questions that the base passes in all its samples regress more often than margin + the base's own
               self-loss rate explains (exact binomial at alpha: fixes elsewhere do not hide broken things);
               delta <= −margin and significantly below 0 (one-sided, alpha); a slice likewise after Holm over all slices
      no       none of these, and delta > −margin is shown (exact, one-sided, alpha). At 2 points and no regression: 149 questions
      unknown  otherwise: too few questions, more than most_missing ungraded, or losses that could be noise, which nobody
               measured (base asked once)
    Table (improved/broke): yes/no ship, yes/yes investigate, no/no and no/unknown data-quality, no/yes stop, else inconclusive.

    Questions that were trained on are shown and never decide; if they or the replay rows fell, or the overall accuracy, the
    first sentences say so. Nor do those that a judge graded, unless `calibration` is that
    judge's and shows that it can tell a pass from a fail: then delta and interval are corrected for its errors (Rogan–Gladen),
    and the margin is shrunk by the least that it sees of a true difference.
    baselines: name -> (what it does, its rows): the base by cheaper means. A baseline does it if it improves the target, holds the rest
    as well as the candidate does, and is as good as the candidate on the target (by arm_margin) and on the rest (by margin):
    shown to be worse by less, or estimated at least as good. An adapter that is not ahead has not earned its cost, and few
    questions show no equivalence.
    That leads the reasons; it never changes the word.

    Raises InvalidInputError for what cannot be compared (see burnish.verdict.pairing.pair).
    """
    limits = thresholds or Thresholds()
    pairing = pair(base, candidate)
    by_role = PairsByRole(pairing, usable_calibration(calibration))
    targeted, rest = compare(by_role.targeted, "greater", by_role.judge), compare(by_role.rest, judge=by_role.judge)
    rest_outcomes = outcomes(by_role.rest, by_role.judge)
    improvement, harm, overall = find_claims(by_role, limits)
    compared = [
        _compare_baseline(name, what, rows, base, candidate, harm, by_role, limits)
        for name, (what, rows) in (baselines or {}).items()
    ]
    first, last = reasons.baseline_reasons(compared)
    noise = noise_floor(by_role.rest)
    trained, anchored = compare(by_role.trained, "greater"), compare(by_role.anchored)
    return Verdict(
        verdict=TABLE[improvement.answer, harm.answer],
        improved=improvement.answer,
        broke=harm.answer,
        targeted=targeted,
        trained=trained,
        rest=rest,
        anchored=anchored,
        regressions=[_regression(p) for p in by_role.rest if p.is_regression],
        noise_flip_rate=None if noise is None else noise.flip_rate,
        flaky_questions=[] if noise is None else list(noise.flaky),
        slices=compare_slices(by_role.targeted + by_role.rest, judge=by_role.judge),
        needs_questions=improvement.needs,
        needs_rest_questions=harm.needs,
        margin=limits.margin,
        targeted_score=compare_mean_scores(by_role.targeted, "greater"),
        rest_score=compare_mean_scores(by_role.rest),
        overall=compare_overall(overall),
        chance=chance_level(by_role.targeted),
        recovery_floor=None if overall is None else overall.recovery_floor,
        noise=noise,
        clusters=count_groups(by_role.targeted + by_role.rest),
        calibration=calibration,
        judged=compare(by_role.judged) if by_role.judged else None,
        arms=compared,
        cheaper_rung=next((one.name for one in compared if one.does_it), None),
        reasons=[
            *first,
            *reasons.improvement_reasons(improvement, targeted, overall, limits),
            *reasons.alarms(trained, anchored, overall, limits),
            *reasons.harm_reasons(harm, rest, limits),
            *reasons.overall_reasons(overall, chance_level(by_role.targeted)),
            *last,
        ],
        warnings=reasons.warnings(by_role, rest_outcomes, pairing.unpaired, calibration, limits),
    )


def find_claims(
    by_role: PairsByRole, limits: Thresholds, *, details: bool = True
) -> tuple[Improvement, Harm, Overall | None]:
    """Both claims, and the accuracy over all questions that the first one was held against. details: see find_harm."""
    targeted, rest = outcomes(by_role.targeted, by_role.judge), outcomes(by_role.rest, by_role.judge)
    overall = find_overall(population(by_role))
    improvement = find_improvement(targeted, limits, by_role.missing_targeted, details=details)
    harm = find_harm(rest, limits, by_role.missing_rest, details=details)
    base_rate = sum(p.base_rate for p in by_role.targeted) / targeted.n if targeted.n else None
    chance = chance_level(by_role.targeted)
    return withstand_selection(improvement, base_rate, overall, limits, chance), harm, overall


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
    harm_of_candidate: Harm,
    decided: PairsByRole,
    limits: Thresholds,
) -> BaselineComparison:
    """One baseline against the base, and against the candidate, on the questions that decide."""
    side = f"baseline {name}"
    questions = {p.question_id for p in (*decided.targeted, *decided.rest)}
    against_base = PairsByRole(pair(base, rows, ("base", side)), decided.calibrated).only(questions)
    against_base.missing_targeted = _lost_share(against_base.targeted, decided.targeted)
    against_base.missing_rest = _lost_share(against_base.rest, decided.rest)
    against_candidate = PairsByRole(pair(candidate, rows, ("candidate", side)), decided.calibrated).only(questions)
    improvement, harm, _ = find_claims(against_base, limits)
    on_target = outcomes(against_candidate.targeted, decided.judge)
    bound = noninferiority(
        on_target.difference, on_target.group, visible_margin(on_target, limits.arm_margin), limits.alpha
    )[0]
    held = HELD_BEST_FIRST.index(harm.answer) <= HELD_BEST_FIRST.index(harm_of_candidate.answer)
    as_good = _is_as_good(on_target, limits.arm_margin, limits) and _is_as_good(
        outcomes(against_candidate.rest, decided.judge), limits.margin, limits
    )
    comparison = compare(against_candidate.targeted, judge=decided.judge)
    return BaselineComparison(
        name=name,
        what=what,
        targeted=compare(against_base.targeted, "greater", decided.judge),
        rest=compare(against_base.rest, judge=decided.judge),
        against_candidate=comparison,
        does_it=improvement.answer == "yes" and held and as_good,
        reason=reasons.baseline_reason(improvement, harm, comparison, bound, limits),
    )


def _is_as_good(against_candidate: Outcomes, margin: float, limits: Thresholds) -> bool:
    """Shown to be worse than the candidate by less than the margin, or estimated at least as good."""
    difference = against_candidate.difference
    if not difference.size:
        return False
    shown = noninferiority(
        difference, against_candidate.group, visible_margin(against_candidate, margin), limits.alpha
    )[1]
    return shown < limits.alpha or float(difference.mean()) >= 0


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
