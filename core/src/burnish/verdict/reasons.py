"""The sentences of a verdict: each claim in plain words with its numbers. Called by burnish.verdict.decision only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from burnish.schemas.evaluation import BaselineComparison, Comparison, JudgeCalibration
from burnish.statistics import required_rest_questions
from burnish.verdict.claims import Harm, Improvement, Outcomes, Thresholds
from burnish.verdict.comparisons import PairsByRole
from burnish.verdict.pairing import Pair, Unpaired, name_some
from burnish.verdict.selection import Overall

LEAST_TRAINED = 5  # questions that were trained on, from which they are expected to improve significantly


def improvement_reasons(
    found: Improvement, targeted: Comparison, overall: Overall | None, limits: Thresholds
) -> list[str]:
    """Why the verdict finds that the target improved, or did not, or neither."""
    if found.n == 0:
        return ["No held-out targeted question could be compared, so nothing shows whether it improved."]
    numbers = f"{_change(targeted)}; {targeted.gained} fixed, {targeted.lost} regressed, one-sided exact p = {_p(found.p_value)}"
    if found.too_many_missing:
        return [
            f"More than {limits.most_missing:.0%} of the held-out targeted questions could not be graded, too many to "
            f"conclude ({numbers})."
        ]
    if found.explained_by_selection and overall is not None:
        shown = "The target did not improve" if found.answer == "no" else "It is not shown that the target improved"
        return [
            f"{shown} by more than its selection explains: {numbers}. The base failed these questions when they were chosen, so a "
            f"mere change of answers brings some back: {_percent(overall.recovery_floor)} of what the base failed, judged by what was "
            f"lost elsewhere. Over all questions {overall.fixed:.0f} were fixed and {overall.regressed:.0f} regressed, "
            f"p = {_p(overall.p_value)}.{' Guessing passes as many.' if found.answer == 'no' else ''}"
        ]
    if found.answer == "yes":
        return [f"The target improved: {numbers}."]
    if found.answer == "no":
        return [f"The target did not improve by {_size(limits.least_improvement)} points or more: {numbers}."]
    return [
        f"Too few held-out targeted questions to tell whether it improved: {numbers}.",
        *_needed(found.needs, "targeted"),
    ]


def alarms(trained: Comparison, anchored: Comparison, overall: Overall | None, limits: Thresholds) -> list[str]:
    """Signs that the adapter did not learn or did harm, which the two claims do not look at."""
    found = []
    if overall is not None and overall.interval[1] < 0:
        found.append(f"Overall accuracy fell: {_overall_change(overall)}.")
    if trained.n >= LEAST_TRAINED and trained.base is not None and trained.candidate is not None:
        redrawn = 0.0 if overall is None else max(0.0, overall.redrawn_gain(trained.base))
        if trained.candidate - trained.base <= redrawn or (trained.p_value or 0.0) >= limits.alpha:
            explained = f", and a mere change of answers explains {_points(redrawn)} points" if redrawn else ""
            found.append(
                f"The questions that it was trained on did not improve: {_change(trained)}{explained}. It has not learnt its rows."
            )
    if anchored.n and (anchored.delta or 0.0) < 0 and (anchored.p_value or 1.0) / 2 < limits.alpha:
        found.append(f"The replay rows fell although they were trained on: {_change(anchored)}.")
    return found


def overall_reasons(overall: Overall | None, chance: float | None) -> list[str]:
    """The accuracy over all questions, with what guessing and a mere change of answers would give."""
    if overall is None:
        return []
    floors = [] if chance is None else [f"guessing passes {_percent(chance)} of the target"]
    if overall.recovery_floor is not None:
        floors.append(
            f"a mere change of answers brings back {_percent(overall.recovery_floor)} of what the base failed"
        )
    told = f"; {' and '.join(floors)}" if floors else ""
    return [f"Overall, weighted to the whole benchmark: {_overall_change(overall)}{told}."]


def harm_reasons(found: Harm, rest: Comparison, limits: Thresholds) -> list[str]:
    """Why the verdict finds that the rest held, or broke, or neither, most decisive first."""
    if found.n == 0:
        return ["No question outside the target could be compared, so nothing shows that the rest held."]
    overall = f"Rest: {_change(rest)}."
    losses = f"{found.regressions} of {found.stable} rest questions that the base always passes regressed"
    if found.answer == "yes":
        return [*_what_broke(found, losses), overall]
    bound = f"one-sided 95 % bound {_points(found.lower_bound)}, p = {_p(found.p_value)}"
    if limits.alpha != 0.05:
        bound = f"one-sided {1 - limits.alpha:.0%} bound {_points(found.lower_bound)}, p = {_p(found.p_value)}"
    margin = f"a loss of {_size(found.margin)} points"
    if found.answer == "no":
        return [f"The rest held: {margin} is excluded ({bound}); {losses}.", overall]
    if found.too_many_missing:
        share = f"More than {limits.most_missing:.0%} of the rest questions could not be graded"
        return [f"{share}, too many to say that the rest held.", overall]
    if found.noise_unknown:
        return [
            f"It is not shown that the rest held: {losses}, more than the margin explains, and the base was asked once, so "
            "that its noise is unknown. Ask it twice.",
            overall,
        ]
    return [
        f"It is not shown that the rest held: {found.n} questions do not exclude {margin} ({bound}).",
        *_needed(found.needs, "rest"),
        overall,
    ]


def baseline_reasons(baselines: Sequence[BaselineComparison]) -> tuple[list[str], list[str]]:
    """(first, last): the baselines that do it lead, those that do not are told at the end."""
    first = [
        f"A cheaper baseline does it: {one.name} ({one.what.rstrip('.')}). {one.reason}"
        for one in baselines
        if one.does_it
    ]
    others = [one for one in baselines if not one.does_it]
    last = [f"Baseline {one.name} did not do it: {one.reason}" for one in others]
    return first, last


def baseline_reason(improvement: Improvement, harm: Harm, against: Comparison, bound: float, limits: Thresholds) -> str:
    """What the numbers of a baseline say, one sentence."""
    versus = f"{_points(against.delta)} points against the adapter on the target (95 % bound {_points(bound)})"
    target = {
        "yes": "it improves the target",
        "no": "it does not improve the target",
        "unknown": "it is not shown to improve the target",
    }[improvement.answer]
    rest = {"no": "holds the rest", "yes": "breaks the rest", "unknown": "is not shown to hold the rest"}[harm.answer]
    return f"On the same questions {target}, {versus}, and {rest} (margin {_size(limits.margin)} points)."


def warnings(
    by_role: PairsByRole,
    rest: Outcomes,
    unpaired: Sequence[Unpaired],
    calibration: JudgeCalibration | None,
    limits: Thresholds,
) -> list[str]:
    """What a reader must know beside the reasons."""
    found = [_ungraded(unpaired)] if unpaired else []
    found += _about_judges(by_role, calibration)
    found += _about_groups(by_role.targeted, "targeted") + _about_groups(by_role.rest, "rest")
    if by_role.rest and rest.noise is None:
        found.append(_unmeasured_noise(by_role.rest))
    found += _about_noise(rest, limits)
    flaky = [p.question_id for p in by_role.rest if p.is_flaky]
    if flaky:
        found.append(
            f"{len(flaky)} rest questions are flaky in the base itself and count as noise: {name_some(flaky)}."
        )
    if not by_role.anchored and not by_role.trained:
        found.append("No question is marked as trained on: if rows came from these questions, held_out is wrong.")
    return found


def _what_broke(found: Harm, losses: str) -> list[str]:
    reasons = []
    if found.regressions > found.explained and not found.noise_unknown:
        reasons.append(f"Something else broke: {losses}; margin and noise explain up to {found.explained}.")
    if found.net_worse:
        reasons.append(
            f"The rest got worse: {_points(found.delta)} points on the net, one-sided exact p = {_p(found.worse_p)}."
        )
    reasons += [
        f"Slice {str(bad.slice)!r} of the rest got worse: {_points(bad.delta)} points over {bad.n} questions, p = {_p(bad.p_value)} after Holm."
        for bad in found.bad_slices
    ]
    return reasons


def _needed(more: int | None, kind: str) -> list[str]:
    if more is None:
        return [f"No reachable number of {kind} questions would settle it at what was seen."]
    return [f"About {more:,} more {kind} questions would settle it at 80 % power."]


def _about_groups(pairs: Sequence[Pair], kind: str) -> list[str]:
    """Where most questions hang together, few independent ones are left to decide."""
    sizes = Counter(p.group for p in pairs if p.group is not None)
    if not sizes:
        return []
    name, size = max(sizes.items(), key=lambda item: item[1])
    if size < 3 or 2 * size <= len(pairs):
        return []
    return [
        f"{size} of {len(pairs)} {kind} questions share {name!r} and count as one: where they are independent of each "
        "other, give each a `cluster` of its own in the benchmark."
    ]


def _about_judges(by_role: PairsByRole, calibration: JudgeCalibration | None) -> list[str]:
    told = []
    if by_role.judged:
        why = "has no calibration"
        if calibration is not None:
            why = "is not the one that the calibration is of" if by_role.judge else "cannot tell a pass from a fail"
        told.append(
            f"{len(by_role.judged)} held-out questions were graded by a judge that {why}: shown, but they decide nothing. "
            "`burnish judge calibrate` with labelled answers makes them count."
        )
    elif calibration is not None and not any(p.judges for p in by_role.targeted + by_role.rest):
        told.append("The calibration was not used: no held-out question was graded by its judge.")
    return told


def _unmeasured_noise(rest: Sequence[Pair]) -> str:
    repeated = sum(len(p.base) > 1 for p in rest)
    if not repeated:
        return "The base was asked once, so its noise is not measured and counted as none: ask it twice."
    return (
        f"Only {repeated} of {len(rest)} rest questions were asked more than once, too few to measure the base's noise, which counts as "
        "none: ask all of them twice."
    )


def _about_noise(rest: Outcomes, limits: Thresholds) -> list[str]:
    """Where the base against itself could not be shown to hold the margin over so many questions."""
    if not rest.n or not rest.noise:
        return []
    needed = required_rest_questions(rest.noise / rest.samples, limits.margin, limits.alpha)
    if needed is not None and needed <= rest.n:
        return []
    reachable = max(rest.n, required_rest_questions(0.0, limits.margin, limits.alpha) or rest.n)
    samples = (
        rest.samples + 1 if needed is None else max(rest.samples + 1, math.ceil(rest.samples * needed / reachable))
    )
    count = "more than 100,000" if needed is None else f"about {needed:,}"
    return [
        f"Two samples of the base differ on {rest.noise:.1%} of the rest questions: this noise alone needs {count} of them to "
        f"show a margin of {_size(limits.margin)} points, and there are {rest.n}. Ask both sides {samples} times."
    ]


def _ungraded(unpaired: Sequence[Unpaired]) -> str:
    names = name_some([u.question_id for u in unpaired])
    return f"{len(unpaired)} questions could not be graded on both sides and are left out ({names}); the first: {unpaired[0].reason}"


def _change(c: Comparison) -> str:
    """`10.0 % → 90.0 % of 30, change +80.0 points (95 % interval +58.1 to +90.2)`; only for n > 0."""
    rates = f"{100 * (c.base or 0):.1f} % → {100 * (c.candidate or 0):.1f} % of {c.n}"
    return f"{rates}, change {_points(c.delta)} points (95 % interval {_points(c.ci_low)} to {_points(c.ci_high)})"


def _overall_change(found: Overall) -> str:
    rates = f"{_percent(found.base)} → {_percent(found.candidate)} over all questions"
    low, high = found.interval
    return f"{rates}, change {_points(found.delta)} points (95 % interval {_points(low)} to {_points(high)})"


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:z.1f} %"


def _points(share: float | None) -> str:
    return f"{100 * (share or 0.0):+z.1f}".replace("-", "−")


def _size(share: float) -> str:
    """2, 2.5: points without sign or trailing zeros."""
    return f"{100 * share:g}"


def _p(value: float | None) -> str:
    return "—" if value is None else f"{value:.2g}" if value >= 0.0001 else f"{value:.0e}"
