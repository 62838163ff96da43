"""The page docs/verdict-error-rates.md and the table beside it, from simulated outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bench.verdict_simulation.bars import (
    FEW_DISCORDANT,
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
    ASKINGS,
    CLUSTER_SIZE,
    HIGH_CHURN,
    INTRA_CLUSTER_CORRELATION,
    LOW_CHURN,
    SIZES,
    Setting,
)
from bench.verdict_simulation.rivals import RIVALS
from bench.verdict_simulation.scoring import Experiment, Outcome

BARS = {
    "false-ship": "false-ship ≤ 5 % wherever the target did not improve or the rest lost 2 points or more",
    "ship": "ship at n ≥ 200, +30 points, no harm: ≥ 90 %, or within 5 points of what a test can reach",
    "coverage": "95 % intervals cover 93 to 97.5 % at n ≥ 50",
}
QUIET, NOISY, AVERAGED = ASKINGS[0], ASKINGS[2], ASKINGS[3]


def page(
    outcomes: Sequence[Outcome], checks: Sequence[Check], draws: int, confirm: int, sizes: Sequence[int] = SIZES
) -> str:
    """sizes: those that the outcomes hold, whole."""
    return "\n".join(
        [
            "# How often the verdict is wrong",
            "",
            "Written by `make bench-verdict`; do not edit. Every number is a share of simulated experiments whose truth is known.",
            "",
            *_short(outcomes),
            *_bars(checks, draws, confirm),
            *_main_table(outcomes, sizes),
            *_rivals(outcomes, sizes),
            *_simulated(draws),
            *_every_setting(outcomes),
        ]
    )


def csv(outcomes: Sequence[Outcome]) -> str:
    """A line an experiment: what was true, each verdict's share, each rival's share of ships."""
    verdicts = ("ship", "investigate", "data-quality", "stop", "inconclusive")
    head = ["n", "churn", "clustered", "noise", "asked_base", "asked_candidate", "gain", "harm", "draws"]
    lines = [",".join([*head, *verdicts, *(f"ships: {name}" for name in RIVALS)])]
    for o in outcomes:
        s = o.setting
        known = [s.n, s.churn, int(s.clustered), s.asking.noise, s.asking.base, s.asking.candidate]
        for e in o.experiments:
            shares = [e.verdicts.get(name, 0.0) for name in verdicts] + [e.rivals[name] for name in RIVALS]
            lines.append(",".join(map(str, [*known, e.gain, e.harm, o.draws, *(f"{share:.4f}" for share in shares)])))
    return "\n".join(lines) + "\n"


def _short(outcomes: Sequence[Outcome]) -> list[str]:
    worst = max(shipped(e) for o in outcomes for e in o.experiments if must_not_ship(e))
    rivals = {name: max(e.rivals[name] for o in outcomes for e in o.experiments if must_not_ship(e)) for name in RIVALS}
    others = ", ".join(f"{name} {_percent(share)}" for name, share in rivals.items())
    return [
        f"**In one sentence:** in its worst cell Burnish ships {_percent(worst)} of the candidates that it must not; the others' worst: {others}.",
        "What this costs: with few rest questions, or noisy ones asked once, it says *inconclusive* — no honest test could do otherwise, as the limits below show.",
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
        f"Monte Carlo: {draws:,} draws a cell give 5 % a standard error of {100 * math.sqrt(0.05 * 0.95 / draws):.1f} points; a number misses its bar when it is beyond it by more than two",
        f"standard errors. Among a thousand numbers some miss by chance, so a setting that misses is simulated anew with {confirm:,} fresh draws, which count instead.",
        "The coverage bar has two ends only where a 95 % interval can have them: with fewer than "
        f"{FEW_DISCORDANT:.0f} expected independent discordant pairs the outcome takes so few values that",
        "every interval which holds its level covers more than it promises (with none expected to differ, always); there only the lower end is held.",
        "",
        "**Why the ship bar has a limit.** To say that the rest lost less than 2 points, n rest questions must be able to tell 0 from 2 points. If a share d of them",
        "changes either way for no net harm, a level-5 % test can do so about Φ(0.02 / √(d / n) − 1.645) of the time. The limit printed below is not this approximation but",
        "the largest power of *any* test of the counts, by linear programming (Neyman–Pearson for a composite hypothesis); the bar asks to come within "
        f"{100 * SHIP_TOLERANCE:.0f} points of the",
        "part of it that needs no coin toss. Noise counts at its variance, so that with noise the limit is close but not exact.",
        "A document counts as one question, since no test knows beforehand that its questions do not fail as one; where the outcomes show that they do not, a test may learn it and pass this limit.",
        "**High churn** (10 %) is not held to it: there the candidate truly loses 5 % of the rest questions and gains as many others, and the verdict's guard on questions that the",
        "base always passes says *investigate* by intent. The table shows it apart.",
        "",
    ]


def _main_table(outcomes: Sequence[Outcome], sizes: Sequence[int]) -> list[str]:
    lines = [
        "## What to expect",
        "",
        "n targeted and n rest questions. *Ships*: +30 points on target, no harm. *Blocks*: investigate, stop or data-quality although it is +10 or +30 without harm. *False ship*: the worst of",
        "no gain or a harm of 2, 5, 10 points.",
        "",
        "| rest | n | ships | limit | inconclusive | blocks | false ship |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
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
        for n in sizes:
            lines.append(f"| {words} | {n} | {_numbers(_of(outcomes, Setting(n, *key)))} |")
    return [*lines, ""]


def _numbers(o: Outcome) -> str:
    best = at(o, 0.3, 0.0)
    false = max(shipped(e) for e in o.experiments if must_not_ship(e))
    blocks = max(blocked(e) for e in o.experiments if must_not_block(e))
    shares = [shipped(best), limit_of(o.setting).any_test, best.verdicts.get("inconclusive", 0.0), blocks, false]
    return " | ".join(_percent(share) for share in shares)


def _rivals(outcomes: Sequence[Outcome], sizes: Sequence[int]) -> list[str]:
    """Worst and typical errors of each way to decide, on the same draws."""
    lines = [
        "## Beside three others, on the same draws",
        "",
        "*Means and any flip* ships when the target's mean rose and no rest question flipped to a failure (*means only*: and the rest's mean did not fall). *Unpaired z-test*: the target rose, and the rest did not",
        "fall, at 5 %. *McNemar gate*: ships unless McNemar's exact test shows a regression (it never asks whether the target improved). They see the first answer of each side, and cannot say *inconclusive*.",
        "Mean over the settings of a size with churn of at most 1 %, worst in brackets.",
        "",
    ]
    truths: dict[str, Callable[[Experiment], bool]] = {
        "ships though nothing improved": lambda e: e.gain == 0 and e.harm == 0,
        "ships though the rest lost 2 points": lambda e: e.gain == 0.3 and e.harm == 0.02,
        "ships though the rest lost 5 points": lambda e: e.gain == 0.3 and e.harm == 0.05,
        "does not ship +30 without harm": lambda e: e.gain == 0.3 and e.harm == 0,
    }
    for words, holds in truths.items():
        lines += [f"**{words[0].upper()}{words[1:]}**", "", f"| n | Burnish | {' | '.join(RIVALS)} |"]
        lines += ["| ---: |" + " ---: |" * (len(RIVALS) + 1)]
        for n in sizes:
            found = [
                e
                for o in outcomes
                if o.setting.n == n and o.setting.churn < HIGH_CHURN
                for e in o.experiments
                if holds(e)
            ]
            columns = [[shipped(e) for e in found], *([e.rivals[name] for e in found] for name in RIVALS)]
            if words.startswith("does not"):
                columns = [[1 - share for share in column] for column in columns]
            cells = [f"{_percent(sum(column) / len(column))} ({_percent(max(column))})" for column in columns]
            lines.append(f"| {n} | {' | '.join(cells)} |")
        lines.append("")
    lines.append(
        "Most of what Burnish does not ship it calls *inconclusive*, with the number of questions that would settle it, and not a failure."
    )
    return [*lines, ""]


def _simulated(draws: int) -> list[str]:
    return [
        "## What was simulated",
        "",
        f"{draws:,} draws for each of {len(SIZES)} sizes × churn × clusters × noise × (3 gains × 4 harms). n: {', '.join(map(str, SIZES))} targeted questions and as many rest. "
        "Gains: 0, +10, +30 points; harms: 0, −2, −5, −10.",
        "Base pass rate 30 % on the target, 80 % on the rest. A question holds, fails, is gained, is lost, or is flaky; shares give the stated change exactly.",
        "- **Churn** (discordance for no net effect): 1 or 10 %, half gained and half lost; and none at all without noise or clusters.",
        f"- **Clusters**: documents of {CLUSTER_SIZE} questions; a question takes its kind from its document with probability √ρ, so that ρ = {INTRA_CLUSTER_CORRELATION} is the exact intra-cluster correlation of the true change (design effect {1 + (CLUSTER_SIZE - 1) * INTRA_CLUSTER_CORRELATION}).",
        "- **Noise**: the probability that two askings of one model to one question differ: 0, 5, 10 %. It sits on flaky questions (0, 15, 30 % of all), whose pass probability is Beta(1, 2) on the target and Beta(2, 1) on the rest. `2+1`: base asked twice, candidate once; `5+5`: both five times, as Burnish advises under noise.",
        "- Target and rest are drawn independently, so each of the 3 targets and 4 rests of a setting is drawn and judged once and the 12 experiments join them draw by draw through the verdict's own table. A unit test holds that this is what `burnish.verdict.decision.decide` says of the same draws as rows.",
        "- Questions are a random sample of those that the user cares about; slices and judges are not part of this simulation.",
        "",
    ]


def _every_setting(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [
        "Every experiment, a line each: [verdict-error-rates.csv](verdict-error-rates.csv).",
        "",
        "<details><summary>Every setting</summary>",
        "",
        "Coverage: least and most over the 3 targets and the 4 rests.",
        "",
        "| n | churn | documents | noise | ships | limit | inconclusive | blocks | false ship | coverage target | coverage rest |",
        "| ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for o in outcomes:
        s = o.setting
        known = f"{s.n} | {100 * s.churn:.0f} % | {'yes' if s.clustered else 'no'} | {s.asking.label}"
        lines.append(f"| {known} | {_numbers(o)} | {_covered(o, 'target')} | {_covered(o, 'rest')} |")
    return [*lines, "", "</details>", ""]


def _covered(o: Outcome, group: str) -> str:
    shares = [share for (of, _), share in o.coverage.items() if of == group]
    return f"{_percent(min(shares))} to {_percent(max(shares))}"


def _of(outcomes: Sequence[Outcome], setting: Setting) -> Outcome:
    return next(o for o in outcomes if o.setting == setting)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
