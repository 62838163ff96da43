"""Which method for a cluster: adapters against the base and against each other, and one sentence with its reason. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from burnish.reporting.sentences import duration, interval, p_equals, points
from burnish.schemas.base import Frozen
from burnish.schemas.evaluation import Comparison, EvalRow, JudgeCalibration, Verdict
from burnish.schemas.training.hosted import LOCAL
from burnish.statistics import holm, needs_questions, noninferiority, prudent_design_effect
from burnish.verdict import (
    Answer,
    Outcomes,
    PairsByRole,
    Thresholds,
    compare,
    find_claims,
    outcomes,
    pairing,
    usable_calibration,
)


class MethodResult(Frozen):
    """What came of one method. improved, broke: the verdict's two claims. failure: why there is no verdict.

    method: as METHODS names it, or with the provider that trained it (`PlannedMethod.name`). seconds, peak_memory_bytes: of the
    training run; None if the trainer did not measure them. cost_usd: what a provider was estimated to charge for it; None: not known.
    """

    method: str
    place: str = LOCAL
    dataset: str
    job_id: str | None = None
    adapter: str | None = None
    eval_id: str | None = None
    folder: str | None = None
    verdict: Verdict | None = None
    improved: Answer | None = None
    broke: Answer | None = None
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    cost_usd: float | None = None
    failure: str | None = None

    @property
    def is_hosted(self) -> bool:
        """Trained at a provider, which charges for it."""
        return self.place != LOCAL

    @property
    def is_eligible(self) -> bool:
        """Shown to improve the target, and not found to break anything else."""
        return self.improved == "yes" and self.broke != "yes"


class PairwiseComparison(Frozen):
    """Two adapters on the same questions, held out for both: base = first, candidate = second, delta = second − first.

    p-values in the comparisons are exact and two-sided; targeted_p and rest_p are these after Holm over all pairs.
    equivalent: on the target neither is worse than the other by the margin of a control arm (two one-sided tests).
    needs_questions: how many more targeted questions would show a difference; None if it is shown, or beyond 20,000.
    """

    first: str
    second: str
    targeted: Comparison
    rest: Comparison
    targeted_p: float
    rest_p: float
    equivalent: bool
    needs_questions: int | None


class Recommendation(Frozen):
    """settled: a recommendation can be given; method is then the one to take, or None for none of them."""

    settled: bool
    method: str | None
    sentence: str
    needs_questions: int | None = None


def claims_of(
    base: Sequence[EvalRow],
    candidate: Sequence[EvalRow],
    limits: Thresholds,
    calibration: JudgeCalibration | None = None,
) -> tuple[Answer, Answer]:
    """(improved, broke) as burnish.verdict.decide finds them, which says one word for both."""
    improvement, harm, _ = find_claims(
        PairsByRole(pairing.pair(base, candidate), usable_calibration(calibration)), limits
    )
    return improvement.answer, harm.answer


def compare_pairs(
    rows: Mapping[str, Sequence[EvalRow]], limits: Thresholds, calibration: JudgeCalibration | None = None
) -> list[PairwiseComparison]:
    """Every two methods against each other, in the order given.

    A question that either trained on (an anchor of one, say) decides nothing. Raises InvalidInputError if the sides do
    not have the same questions.
    """
    pairs = [_compare_pair(a, b, rows[a], rows[b], limits, calibration) for a, b in combinations(rows, 2)]
    raw = [p for pair in pairs for p in (pair.targeted_p, pair.rest_p)]
    adjusted = iter(holm(raw))
    return [pair.model_copy(update={"targeted_p": next(adjusted), "rest_p": next(adjusted)}) for pair in pairs]


def recommend(
    results: Sequence[MethodResult], pairs: Sequence[PairwiseComparison], limits: Thresholds
) -> Recommendation:
    """The method to take, by these steps; each needs the one before to leave it open.

    1. A method without a verdict leaves the question open.
    2. Eligible is what is shown to improve the target and is not found to break the rest. None: none of them is
       recommended if that is decided for each, else it is open. One: it is recommended.
    3. Of several, the one that beats every other directly: better on the target and not worse on the rest, or no
       different on the target and better on the rest (exact paired tests, two-sided, Holm over all pairs and both).
    4. If one is better on the target and another on the rest it is a trade, and open.
    5. The only one that is shown to leave the rest as it was.
    6. If all are equivalent on the target: the one that trains fastest.
    """
    failed = [result for result in results if result.verdict is None]
    if failed:
        return _not_compared(results, failed)
    eligible = [result for result in results if result.is_eligible]
    if not eligible:
        return _none_eligible(results)
    if len(eligible) == 1:
        others = "; ".join(_state(other) for other in results if other is not eligible[0])
        return _take(eligible[0].method, f"{_state(eligible[0])}; {others}")
    names = [result.method for result in eligible]
    between = [pair for pair in pairs if pair.first in names and pair.second in names]
    winner = next((name for name in names if all(_beats(name, pair, limits) for pair in _of(name, between))), None)
    if winner:
        return _won(winner, eligible, between, limits)
    for pair in between:
        target, rest = _lead(pair.second, pair, limits)
        if target * rest < 0:
            return _trade(pair)
    holding = [result for result in eligible if result.broke == "no"]
    if len(holding) == 1:
        return _holds_alone(holding[0], between)
    if all(pair.equivalent for pair in between) and all(result.seconds is not None for result in eligible):
        return _fastest(eligible, limits)
    return _no_difference(between, limits)


def _compare_pair(
    first: str,
    second: str,
    first_rows: Sequence[EvalRow],
    second_rows: Sequence[EvalRow],
    limits: Thresholds,
    calibration: JudgeCalibration | None,
) -> PairwiseComparison:
    trained = {row.question_id for row in (*first_rows, *second_rows) if not row.held_out}
    sides = [
        [row.model_copy(update={"held_out": row.question_id not in trained}) for row in rows]
        for rows in (first_rows, second_rows)
    ]
    groups = PairsByRole(pairing.pair(sides[0], sides[1], (first, second)), usable_calibration(calibration))
    targeted, rest = compare(groups.targeted, judge=groups.judge), compare(groups.rest, judge=groups.judge)
    found = outcomes(groups.targeted, groups.judge)
    return PairwiseComparison(
        first=first,
        second=second,
        targeted=targeted,
        rest=rest,
        targeted_p=1.0 if targeted.p_value is None else targeted.p_value,
        rest_p=1.0 if rest.p_value is None else rest.p_value,
        equivalent=_is_equivalent(found, limits),
        needs_questions=_needed(found, limits),
    )


def _is_equivalent(found: Outcomes, limits: Thresholds) -> bool:
    """Two one-sided tests. Source: Schuirmann 1987, J Pharmacokinet Biopharm 15:657–680."""
    if found.n == 0:
        return False
    p_values = [
        noninferiority(sign * found.difference, found.group, limits.arm_margin, limits.alpha)[1] for sign in (1, -1)
    ]
    return max(p_values) < limits.alpha


def _needed(found: Outcomes, limits: Thresholds) -> int | None:
    """Targeted questions beyond these that would show which is better, taking the difference seen, or the least that matters.

    Two-sided at alpha; clusters are taken to go on as they are.
    """
    more, less = max(found.fixed, found.regressed), min(found.fixed, found.regressed)
    required = needs_questions(more, less, found.n, limits.least_improvement, limits.alpha / 2)
    if required is None:
        return None
    effect = max(1.0, prudent_design_effect(found.difference, found.group))
    return max(1, math.ceil((required + found.n) * effect) - found.n)


def _of(name: str, pairs: Sequence[PairwiseComparison]) -> list[PairwiseComparison]:
    return [pair for pair in pairs if name in (pair.first, pair.second)]


def _lead(name: str, pair: PairwiseComparison, limits: Thresholds) -> tuple[int, int]:
    """(target, rest): 1 if `name` is shown to be better than the other, −1 worse, 0 neither."""
    sign = 1 if pair.second == name else -1
    leads = []
    for comparison, p_value in ((pair.targeted, pair.targeted_p), (pair.rest, pair.rest_p)):
        shown = p_value < limits.alpha and bool(comparison.delta)
        leads.append(sign * int(math.copysign(1, comparison.delta or 0.0)) if shown else 0)
    return leads[0], leads[1]


def _beats(name: str, pair: PairwiseComparison, limits: Thresholds) -> bool:
    target, rest = _lead(name, pair, limits)
    return (target > 0 and rest >= 0) or (target == 0 and rest > 0)


def _take(method: str, why: str) -> Recommendation:
    return Recommendation(settled=True, method=method, sentence=f"Take {method}: {why}.")


def _open(sentence: str, needed: int | None = None) -> Recommendation:
    """needed: how many more targeted questions would settle it, if that is known."""
    return Recommendation(settled=False, method=None, sentence=sentence, needs_questions=needed)


def _not_compared(results: Sequence[MethodResult], failed: Sequence[MethodResult]) -> Recommendation:
    why = "; ".join(f"{result.method}: {result.failure}" for result in failed)
    others = "; ".join(_state(result) for result in results if result.verdict is not None)
    return _open(f"Not compared: {why}.{f' {others}.' if others else ''}")


def _none_eligible(results: Sequence[MethodResult]) -> Recommendation:
    states = "; ".join(_state(result) for result in results)
    if all(result.improved == "no" or result.broke == "yes" for result in results):
        sentence = f"None of them: {states}. Look at the training data, or at a cheaper baseline."
        return Recommendation(settled=True, method=None, sentence=sentence)
    needed = [r.verdict.needs_questions for r in results if r.verdict and r.verdict.needs_questions is not None]
    more = f" About {max(needed)} more held-out targeted questions would settle it." if needed else ""
    return _open(f"Not settled: {states}.{more}", max(needed, default=None))


def _state(result: MethodResult) -> str:
    improved = {
        "yes": "improves the target",
        "no": "does not improve the target",
        "unknown": "is not shown to improve the target",
    }
    broke = {
        "yes": "something else broke",
        "no": "the rest holds",
        "unknown": "whether the rest holds is not shown",
    }
    return f"{result.method} {improved[result.improved or 'unknown']} and {broke[result.broke or 'unknown']}"


def _won(
    winner: str, eligible: Sequence[MethodResult], pairs: Sequence[PairwiseComparison], limits: Thresholds
) -> Recommendation:
    reasons = []
    for pair in _of(winner, pairs):
        other = pair.first if pair.second == winner else pair.second
        on_target = _lead(winner, pair, limits)[0] > 0
        comparison, p_value, where = (
            (pair.targeted, pair.targeted_p, "held-out targeted") if on_target else (pair.rest, pair.rest_p, "rest")
        )
        lead = comparison if pair.second == winner else _turned(comparison)
        reasons.append(
            f"{points(lead.delta)} points against {other} on {lead.n} {where} questions "
            f"(95 % interval {interval(lead)}, exact p {p_equals(p_value)})"
        )
    open_rest = next(result for result in eligible if result.method == winner).broke == "unknown"
    caveat = ". Whether the rest holds against the base is not shown yet" if open_rest else ""
    return _take(winner, f"{'; '.join(reasons)}{caveat}")


def _turned(c: Comparison) -> Comparison:
    """The same comparison seen from the other side."""
    return c.model_copy(
        update={
            "base": c.candidate,
            "candidate": c.base,
            "delta": None if c.delta is None else -c.delta,
            "ci_low": None if c.ci_high is None else -c.ci_high,
            "ci_high": None if c.ci_low is None else -c.ci_low,
            "gained": c.lost,
            "lost": c.gained,
        }
    )


def _trade(pair: PairwiseComparison) -> Recommendation:
    better, worse = (pair.second, pair.first) if (pair.targeted.delta or 0.0) > 0 else (pair.first, pair.second)
    return _open(
        f"A trade: {better} is better on the target and {worse} on the rest "
        f"({points(abs(pair.targeted.delta or 0.0))} and {points(abs(pair.rest.delta or 0.0))} points, both shown): "
        "which weighs more is yours to say."
    )


def _holds_alone(result: MethodResult, pairs: Sequence[PairwiseComparison]) -> Recommendation:
    others = ", ".join(d.first if d.second == result.method else d.second for d in _of(result.method, pairs))
    return _take(
        result.method,
        f"on the target no difference to {others} is shown, and it alone is shown to leave the rest as it was",
    )


def _fastest(eligible: Sequence[MethodResult], limits: Thresholds) -> Recommendation:
    ranked = sorted(eligible, key=lambda result: result.seconds or 0.0)
    times = ", ".join(f"{result.method} {duration(result.seconds or 0.0)}" for result in ranked)
    return _take(
        ranked[0].method,
        f"on the target all are the same to within {100 * limits.arm_margin:.0f} points, and it trains fastest ({times})",
    )


def _no_difference(pairs: Sequence[PairwiseComparison], limits: Thresholds) -> Recommendation:
    open_ones = [pair for pair in pairs if pair.targeted_p >= limits.alpha] or list(pairs)
    closest = max(open_ones, key=lambda pair: abs(pair.targeted.delta or 0.0))
    c, needed = closest.targeted, closest.needs_questions
    seen = (
        f"{points(c.delta)} points on {c.n} questions, 95 % interval {interval(c)}" if c.n else "no question in common"
    )
    more = f"; about {needed} more held-out targeted questions needed" if needed is not None else ""
    return _open(f"No difference shown: {closest.second} against {closest.first} {seen}{more}.", needed)
