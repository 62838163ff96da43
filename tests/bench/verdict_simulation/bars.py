"""The bars that the verdict must clear, checked on simulated outcomes with their Monte Carlo error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.verdict_simulation.cells import CLUSTER_SIZE, HIGH_CHURN, MARGIN, Cell, Group, Setting
from bench.verdict_simulation.draws import difference_variance
from bench.verdict_simulation.limits import Limit, ship_limit
from bench.verdict_simulation.scoring import Experiment, Outcome
from bench.verdict_simulation.selection import Found, Null

MOST_FALSE_SHIPS = 0.05
LEAST_SHIPS, SHIPS_FROM_N, SHIP_TOLERANCE = 0.90, 200, 0.05
COVERAGE, COVERAGE_FROM_N = (0.93, 0.975), 50
FEW_DISCORDANT = 5.0
FEW_DISCORDANT_DOCUMENTS = 20.0  # the prudent design effect is drawn to the worst case by four of them
STANDARD_ERRORS = 2


@dataclass(frozen=True)
class Check:
    """One number against its bar. passed allows for STANDARD_ERRORS Monte Carlo standard errors."""

    bar: str
    where: str
    setting: Setting | Null
    value: float
    passed: bool


def describe(setting: Setting) -> str:
    clusters = f"documents of {CLUSTER_SIZE}" if setting.clustered else "independent"
    return f"n {setting.n}, churn {100 * setting.churn:.0f} %, {clusters}, noise {setting.sampling.label}"


def must_not_ship(experiment: Experiment) -> bool:
    return experiment.gain == 0 or experiment.harm >= MARGIN


def must_not_block(experiment: Experiment) -> bool:
    return experiment.gain > 0 and experiment.harm == 0


def shipped(experiment: Experiment) -> float:
    return experiment.verdicts.get("ship", 0.0)


def blocked(experiment: Experiment) -> float:
    return sum(experiment.verdicts.get(name, 0.0) for name in ("investigate", "stop", "data-quality"))


def at(outcome: Outcome, gain: float, harm: float) -> Experiment:
    return next(e for e in outcome.experiments if (e.gain, e.harm) == (gain, harm))


def limit_of(setting: Setting) -> Limit:
    return ship_limit(Cell(setting, "rest", 0.0))


def all_checks(outcomes: Sequence[Outcome]) -> list[Check]:
    return [check for o in outcomes for check in [*_false_ships(o), *_ships(o), *_coverage(o)]]


def null_checks(found: Sequence[Found]) -> list[Check]:
    """Nulls only: of a candidate that learnt nothing neither word may be said."""
    return [
        Check(bar, f"{describe_null(f.null)}", f.null, share, share <= _most_false(f.draws))
        for f in found
        if not f.null.learned
        for bar, share in (("false-improved", f.improved), ("null-ship", f.shipped))
    ]


def describe_null(null: Null) -> str:
    return f"{null.kind}, base {100 * null.base:.0f} %, {100 * null.redrawn:.0f} % answered anew"


def _most_false(draws: int) -> float:
    return MOST_FALSE_SHIPS + STANDARD_ERRORS * _error(MOST_FALSE_SHIPS, draws)


def _false_ships(outcome: Outcome) -> list[Check]:
    allowed = _most_false(outcome.draws)
    return [
        Check(
            "false-ship",
            f"{describe(outcome.setting)}: {100 * e.gain:+.0f} on target, {-100 * e.harm:.0f} on the rest",
            outcome.setting,
            shipped(e),
            shipped(e) <= allowed,
        )
        for e in outcome.experiments
        if must_not_ship(e)
    ]


def _ships(outcome: Outcome) -> list[Check]:
    """Held where nothing, or next to nothing, was lost: at high churn the rest truly loses questions (see the page)."""
    setting = outcome.setting
    if setting.n < SHIPS_FROM_N or setting.churn >= HIGH_CHURN:
        return []
    least = min(LEAST_SHIPS, limit_of(setting).plain_test - SHIP_TOLERANCE)
    value = shipped(at(outcome, 0.3, 0.0))
    allowed = least - STANDARD_ERRORS * _error(least, outcome.draws)
    return [Check("ship", f"{describe(setting)}: bar {100 * least:.1f} %", setting, value, value >= allowed)]


def _coverage(outcome: Outcome) -> list[Check]:
    setting = outcome.setting
    if setting.n < COVERAGE_FROM_N:
        return []
    low, high = COVERAGE
    checks = []
    for (group, effect), share in outcome.coverage.items():
        most = 1.0 if is_discrete(setting, group, effect) else high
        passed = (
            low - STANDARD_ERRORS * _error(low, outcome.draws)
            <= share
            <= most + STANDARD_ERRORS * _error(high, outcome.draws)
        )
        where = f"{describe(setting)}: {group} {100 * effect:+.0f}"
        checks.append(Check("coverage", where, setting, share, passed))
    return checks


def is_discrete(setting: Setting, group: str, effect: float) -> bool:
    """Fewer independent discordant pairs, or documents, are expected than a 95 % interval needs to cover no more than that."""
    side: Group = "target" if group == "target" else "rest"
    pairs = setting.n / (CLUSTER_SIZE if setting.clustered else 1)
    few = FEW_DISCORDANT_DOCUMENTS if setting.clustered else FEW_DISCORDANT
    return pairs * difference_variance(Cell(setting, side, effect)) < few


def _error(share: float, draws: int) -> float:
    return math.sqrt(max(share * (1 - share), 0.0) / draws)
