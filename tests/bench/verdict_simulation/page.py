"""docs/verdict-error-rates.md, which keeps to one page, and docs/verdict-error-rates.csv with every experiment, from simulated outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bench.verdict_simulation.bars import (
    FEW_DISCORDANT,
    FEW_DISCORDANT_DOCUMENTS,
    SHIP_TOLERANCE,
    Check,
    at,
    blocked,
    limit_of,
    must_not_block,
    must_not_ship,
    shipped,
)
from bench.verdict_simulation.cells import (
    CLUSTER_SIZE,
    HIGH_CHURN,
    INTRA_CLUSTER_CORRELATION,
    LOW_CHURN,
    SAMPLINGS,
    SIZES,
    Setting,
)
from bench.verdict_simulation.rivals import RIVALS
from bench.verdict_simulation.scoring import Experiment, Outcome
from bench.verdict_simulation.selection import (
    HELD_OUT,
    KINDS,
    LEARNER_BASES,
    LEARNS,
    QUESTIONS,
    SLICES,
    Found,
)

BARS = {
    "false-ship": "false-ship ≤ 5 % wherever the target did not improve or the rest lost 2 points or more",
    "ship": "ship at n ≥ 200, +30 points, no harm: ≥ 90 %, or within 5 points of what a test can reach",
    "coverage": "95 % intervals cover 93 to 97.5 % at n ≥ 50",
    "false-improved": '"the target improved" ≤ 5 % of a candidate no better than the base, with targets chosen by its failures',
    "null-ship": "ship ≤ 5 % of the same",
}
KIND_WORDS = {
    "plain": "all failures targeted",
    "noise": "the same, 10 % noise, base asked twice",
    "slices": f"{SLICES} slices, failures of the worst targeted",
    "documents": f"all failures targeted, documents of {CLUSTER_SIZE}",
}
QUIET, NOISY, AVERAGED = SAMPLINGS[0], SAMPLINGS[2], SAMPLINGS[3]
RIVALS_SIZE = 200


def page(
    outcomes: Sequence[Outcome],
    nulls: Sequence[Found],
    checks: Sequence[Check],
    draws: int,
    confirm: int,
    sizes: Sequence[int] = SIZES,
) -> str:
    """sizes: those that the outcomes hold, whole."""
    return "\n".join(
        [
            "# How often the verdict is wrong",
            "",
            "`make bench-verdict` writes this page; do not edit it. Every number is a share of simulated experiments whose truth is known.",
            "Every experiment, one a line: [verdict-error-rates.csv](verdict-error-rates.csv), [verdict-null-rates.csv](verdict-null-rates.csv).",
            "",
            *_short(outcomes),
            *_bars(checks, draws, confirm),
            *_selection(nulls),
            *_main_table(outcomes, sizes),
            *_rivals(outcomes, sizes),
            *_simulated(draws),
        ]
    )


def csv(outcomes: Sequence[Outcome]) -> str:
    """A line an experiment: what was true, each verdict's share, each rival's share of ships, and of its setting the limit and the coverage."""
    verdicts = ("ship", "investigate", "data-quality", "stop", "inconclusive")
    head = ["n", "churn", "clustered", "noise", "asked_base", "asked_candidate", "gain", "harm", "draws"]
    head += [*verdicts, *(f"ships: {name}" for name in RIVALS), "limit"]
    head += [f"{group} coverage {end}" for group in ("target", "rest") for end in ("least", "most")]
    lines = [",".join(head)]
    for o in outcomes:
        s = o.setting
        known = [s.n, s.churn, int(s.clustered), s.sampling.noise, s.sampling.base, s.sampling.candidate]
        of_setting = [limit_of(s).any_test, *_coverage(o, "target"), *_coverage(o, "rest")]
        for e in o.experiments:
            shares = [e.verdicts.get(name, 0.0) for name in verdicts] + [e.rivals[name] for name in RIVALS]
            numbers = [*(f"{share:.4f}" for share in shares), *(f"{share:.3f}" for share in of_setting)]
            lines.append(",".join(map(str, [*known, e.gain, e.harm, o.draws, *numbers])))
    return "\n".join(lines) + "\n"


def _coverage(o: Outcome, group: str) -> tuple[float, float]:
    """Least and most over the setting's targets or rests."""
    shares = [share for (of, _), share in o.coverage.items() if of == group]
    return min(shares), max(shares)


def _short(outcomes: Sequence[Outcome]) -> list[str]:
    worst = max(shipped(e) for o in outcomes for e in o.experiments if must_not_ship(e))
    rivals = {name: max(e.rivals[name] for o in outcomes for e in o.experiments if must_not_ship(e)) for name in RIVALS}
    others = ", ".join(f"{name} {_percent(share)}" for name, share in rivals.items())
    return [
        f"**In one sentence:** in its worst cell Burnish ships {_percent(worst)} of the candidates that must not ship; the worst of the others: {others}.",
        "**The price:** with few rest questions, or with noisy ones that are asked once, it says *inconclusive*. The limits below show that no honest test could do otherwise.",
        "",
    ]


def _bars(checks: Sequence[Check], draws: int, confirm: int) -> list[str]:
    lines = ["## The bars", "", "| bar | result | cells that clear it |", "| --- | --- | --- |"]
    missed = [check for check in checks if not check.passed]
    for bar, words in BARS.items():
        of_bar = [check for check in checks if check.bar == bar]
        cleared = sum(check.passed for check in of_bar)
        lines.append(
            f"| {words} | {'**PASS**' if cleared == len(of_bar) else '**FAIL**'} | {cleared} of {len(of_bar)} |"
        )
    if missed:
        lines += ["", "Cells that miss their bar:", ""]
        lines += [f"- {check.bar}: {check.where}: {100 * check.value:.1f} %" for check in missed]
    return [
        *lines,
        "",
        f"{draws:,} draws a cell give 5 % a standard error of {100 * math.sqrt(0.05 * 0.95 / draws):.1f} points. A number misses its bar if it is beyond it by more than two standard errors.",
        f"A setting that misses is simulated again with {confirm:,} fresh draws, which count instead.",
        f"If fewer than {FEW_DISCORDANT:.0f} independent discordant pairs (or {FEW_DISCORDANT_DOCUMENTS:.0f} documents, whose questions are taken to hang together until they show that they do not) are expected, an interval that holds its level must cover more than it promises: only the lower end of the coverage bar applies.",
        "",
    ]


def _selection(found: Sequence[Found]) -> list[str]:
    """Regression to the mean: worst null of each kind, and what the check costs a candidate that learnt."""
    lines = [
        "## Targets chosen because the base failed them",
        "",
        f"The null that people have: {QUESTIONS} questions, targets are what the base failed, {100 * HELD_OUT:.0f} % of them held out, and a candidate with exactly the base's ability answers a share of all "
        "questions anew. Some failures then pass, whatever it learnt. Burnish says *improved* only if over all questions, or over one slice, more were fixed than regressed.",
        "Worst over base pass rates of 10 to 95 % and 5 to 100 % answered anew; in brackets: without that check. *Learnt*: how often it says *improved* of a candidate that learnt 90 % of the target "
        "and changes 5 % of its answers for nothing.",
        "",
        "| benchmark | false *improved* | false *ship* | learnt, base 30 % | learnt, base 50 % | learnt, base 90 % |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        nulls = [f for f in found if f.null.kind == kind and not f.null.learned]
        cells = [
            f"{_percent(max(f.improved for f in nulls))} ({_percent(max(f.without for f in nulls))})",
            _percent(max(f.shipped for f in nulls)),
        ]
        for base in LEARNER_BASES:
            learner = next(f for f in found if (f.null.kind, f.null.base, f.null.learned) == (kind, base, max(LEARNS)))
            cells.append(f"{_percent(learner.improved)} ({_percent(learner.without)})")
        lines.append(f"| {KIND_WORDS[kind]} | {' | '.join(cells)} |")
    return [*lines, ""]


def null_csv(found: Sequence[Found]) -> str:
    """A line a null or learner."""
    head = "kind,base,answered_anew,learned,draws,improved,shipped,improved_without_check"
    lines = [
        ",".join(
            map(
                str,
                [
                    *(f.null.kind, f.null.base, f.null.redrawn, f.null.learned, f.draws),
                    *(f"{share:.4f}" for share in (f.improved, f.shipped, f.without)),
                ],
            )
        )
        for f in found
    ]
    return "\n".join([head, *lines]) + "\n"


def _main_table(outcomes: Sequence[Outcome], sizes: Sequence[int]) -> list[str]:
    lines = [
        "## What to expect",
        "",
        "How often a candidate ships that gains 30 points and does no harm, on n targeted and n rest questions. In brackets: the *limit*, the most that any test of the counts could reach.",
        "*Blocked*: investigate, stop or data-quality although it gains 10 or 30 points without harm. *False ship*: it ships without a gain, or with a harm of 2, 5 or 10 points. Both are the worst over all n.",
        "",
        f"| rest | {' | '.join(f'n = {n}' for n in sizes)} | blocked | false ship |",
        "| --- |" + " ---: |" * (len(sizes) + 2),
    ]
    rows = [
        ("unchanged", (0.0, False, QUIET)),
        ("1 % churn", (LOW_CHURN, False, QUIET)),
        ("1 % churn, documents", (LOW_CHURN, True, QUIET)),
        ("1 % churn, 10 % noise, base asked twice", (LOW_CHURN, False, NOISY)),
        ("1 % churn, 10 % noise, both asked 5 times", (LOW_CHURN, False, AVERAGED)),
        ("10 % churn", (HIGH_CHURN, False, QUIET)),
    ]
    for words, key in rows:
        found = [_of(outcomes, Setting(n, *key)) for n in sizes]
        ships = [f"{_percent(shipped(at(o, 0.3, 0.0)))} ({_percent(limit_of(o.setting).any_test)})" for o in found]
        blocks = max(blocked(e) for o in found for e in o.experiments if must_not_block(e))
        false = max(shipped(e) for o in found for e in o.experiments if must_not_ship(e))
        lines.append(f"| {words} | {' | '.join(ships)} | {_percent(blocks)} | {_percent(false)} |")
    return [
        *lines,
        "",
        "The limit exists because n rest questions must tell a loss of 0 points from one of 2. If a share d of them changes in both directions, a test at the 5 % level can do so about",
        "Φ(0.02 / √(d / n) − 1.645) of the time. The limit in the table is exact without noise: the power of the best test, by linear programming (Neyman–Pearson for a composite hypothesis).",
        f"The ship bar asks for its part that needs no coin toss, less {100 * SHIP_TOLERANCE:.0f} points. A document counts as one question there; a test that sees that its questions do not fail together may pass the limit.",
        "With 10 % churn the candidate breaks 5 % of the rest questions and fixes as many others. The verdict then says *investigate* by intent, and the ship bar does not apply.",
        "",
    ]


def _rivals(outcomes: Sequence[Outcome], sizes: Sequence[int]) -> list[str]:
    """Worst and typical errors of each way to decide, on the same draws."""
    n = max(size for size in sizes if size <= RIVALS_SIZE)
    lines = [
        "## Compared with three other rules, on the same draws",
        "",
        "*Means and any flip* ships if the target's mean rose and no rest question flipped to a failure (*means only*: and the rest's mean did not fall). *Unpaired z-test*: the target rose and the rest did not",
        "fall, at 5 %. *McNemar gate*: ships unless McNemar's exact test shows a regression. They see the first answer of each side and cannot say *inconclusive*.",
        f"n = {n}: mean over the settings with a churn of at most 1 %, worst in brackets.",
        "",
        f"| | Burnish | {' | '.join(RIVALS)} |",
        "| --- |" + " ---: |" * (len(RIVALS) + 1),
    ]
    truths: dict[str, Callable[[Experiment], bool]] = {
        "ships though nothing improved": lambda e: e.gain == 0 and e.harm == 0,
        "ships though the rest lost 2 points": lambda e: e.gain == 0.3 and e.harm == 0.02,
        "ships though the rest lost 5 points": lambda e: e.gain == 0.3 and e.harm == 0.05,
        "does not ship +30 without harm": lambda e: e.gain == 0.3 and e.harm == 0,
    }
    of_size = [o for o in outcomes if o.setting.n == n and o.setting.churn < HIGH_CHURN]
    for words, holds in truths.items():
        found = [e for o in of_size for e in o.experiments if holds(e)]
        columns = [[shipped(e) for e in found], *([e.rivals[name] for e in found] for name in RIVALS)]
        if words.startswith("does not"):
            columns = [[1 - share for share in column] for column in columns]
        cells = [f"{_percent(sum(column) / len(column))} ({_percent(max(column))})" for column in columns]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "Most of what Burnish does not ship is *inconclusive*, with the number of questions that would settle it.",
        "",
    ]


def _simulated(draws: int) -> list[str]:
    return [
        "## What was simulated",
        "",
        f"{draws:,} draws of each of {len(SIZES)} sizes × churn × clusters × noise × (3 gains × 4 harms). Gains: 0, +10, +30 points; harms: 0, −2, −5, −10. Base pass rate: 30 % on the target, 80 % on the rest.",
        "",
        "- **Churn**: questions that change for no net effect: 0, 1 or 10 %, half of them fixed and half broken.",
        f"- **Documents**: {CLUSTER_SIZE} questions each; the true change has an intra-cluster correlation of {INTRA_CLUSTER_CORRELATION} (design effect {1 + (CLUSTER_SIZE - 1) * INTRA_CLUSTER_CORRELATION}).",
        "- **Noise**: the probability that two samples of one model for one question differ: 0, 5, 10 %. It comes from flaky questions (0, 15, 30 % of all), whose pass probability is Beta(1, 2) on the target and Beta(2, 1) on the rest. The base is asked twice and the candidate once, or both five times.",
        "- Target and rest are drawn independently and joined draw by draw through the verdict's own table. A unit test checks that this is what `burnish.verdict.decide` says of the same draws as rows.",
        "- Questions are a random sample of those that the user cares about. Slices and judges are not part of this simulation.",
        "",
    ]


def _of(outcomes: Sequence[Outcome], setting: Setting) -> Outcome:
    return next(o for o in outcomes if o.setting == setting)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
