"""Each draw decided by the verdict's own two claims and table, and by the rivals; a setting's rates out.

The groups are drawn independently: so each of the 3 targets and 4 rests of a setting is drawn and judged once, and the 12
experiments join them draw by draw: an improvement is held against the questions of both, then burnish.verdict.decision.TABLE.
tests/unit/bench holds that this equals burnish.verdict.decide on the same draws written out as eval rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from bench.verdict_simulation.cells import Cell, Setting, cells_of
from bench.verdict_simulation.draws import Booleans, Draws, Floats, draw
from bench.verdict_simulation.rivals import RIVALS, FirstAnswers, first_answers

from burnish.statistics import paired_interval
from burnish.verdict import (
    Answer,
    Improvement,
    Outcomes,
    Population,
    Thresholds,
    find_harm,
    find_improvement,
    find_overall,
    withstand_selection,
)
from burnish.verdict.decision import TABLE

LIMITS = Thresholds()
Interval = tuple[float, float]


class Judged(NamedTuple):
    """One draw of one cell. improvement: of a target's claim, which is still to be held against all questions."""

    answer: Answer
    interval: Interval
    improvement: Improvement | None = None


@dataclass(frozen=True)
class Scored:
    """One cell over all its draws. covered: the 95 % interval contains the true effect."""

    judged: list[Judged]
    covered: Booleans
    first: FirstAnswers
    seen: Arrays


@dataclass(frozen=True)
class Experiment:
    """Shares over the draws of one target and one rest of a setting. Rivals: share shipped."""

    gain: float
    harm: float
    verdicts: dict[str, float]
    rivals: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """All of one setting. coverage: of the 95 % interval by (group, true effect)."""

    setting: Setting
    draws: int
    experiments: list[Experiment]
    coverage: dict[tuple[str, float], float]


@dataclass(frozen=True)
class Arrays:
    """What the claims look at, a row a draw: (draws, questions), self_loss (draws,), NaN where no question always passes."""

    difference: Floats
    base: Floats
    stable: Booleans
    regression: Booleans
    self_loss: Floats
    clusters: npt.NDArray[np.int64] | None
    samples: int

    def outcomes(self, index: int) -> Outcomes:
        loss = float(self.self_loss[index])
        return Outcomes(
            difference=self.difference[index],
            group=self.clusters,
            stable=self.stable[index],
            regression=self.regression[index],
            self_loss=None if np.isnan(loss) else loss,
            samples=self.samples,
        )


def arrays(draws: Draws, clustered: bool) -> Arrays:
    """As burnish.verdict.pairing does it for rows: as many samples of either side, majority with a tie to the first sample."""
    base_samples, samples = draws.base.shape[2], min(draws.base.shape[2], draws.candidate.shape[2])
    base, candidate = draws.base[:, :, :samples], draws.candidate[:, :, :samples]
    twice = 2 * candidate.sum(axis=2)
    passed = np.where(twice == samples, candidate[:, :, 0], twice > samples)
    failures = base_samples - draws.base.sum(axis=2)
    stable = failures == 0
    held, almost = stable.sum(axis=1), (failures == 1).sum(axis=1) / base_samples
    return Arrays(
        difference=(candidate.sum(axis=2) - base.sum(axis=2)) / samples,
        base=base.sum(axis=2) / samples,
        stable=stable,
        regression=stable & ~passed,
        self_loss=np.where(held + almost > 0, almost / np.maximum(held + almost, 1e-12), np.nan),
        clusters=draws.clusters if clustered else None,
        samples=samples,
    )


def judge_target(outcomes: Outcomes) -> Judged:
    found = find_improvement(outcomes, LIMITS, details=False)
    assert found.interval is not None
    return Judged(found.answer, found.interval, found)


def judge_rest(outcomes: Outcomes) -> Judged:
    found = find_harm(outcomes, LIMITS, details=False)
    return Judged(found.answer, paired_interval(outcomes.difference, outcomes.group))


def score_cell(cell: Cell, draws: int, seed: int) -> Scored:
    """Draws that differ only in the order of questions or clusters are judged once."""
    drawn = draw(cell, draws, seed)
    seen = arrays(drawn, cell.setting.clustered)
    judge: Callable[[Outcomes], Judged] = judge_target if cell.group == "target" else judge_rest
    known: dict[bytes, Judged] = {}
    judged = []
    for index, key in enumerate(_keys(seen, cell.group == "rest")):
        if key not in known:
            known[key] = judge(seen.outcomes(index))
        judged.append(known[key])
    covered = [found.interval[0] <= cell.effect <= found.interval[1] for found in judged]
    return Scored(judged, np.array(covered), first_answers(drawn), seen)


def _keys(seen: Arrays, losses_count: bool) -> list[bytes]:
    """A key a draw: its questions in sorted order, cluster by cluster, and what else its claim looks at."""
    codes = np.rint((seen.difference + 1) * seen.samples).astype(np.uint64)
    if losses_count:
        codes = codes * 4 + seen.stable * np.uint64(2) + seen.regression
    if seen.clusters is not None:
        size = int(np.bincount(seen.clusters)[0])
        short = -codes.shape[1] % size  # the last cluster may have fewer questions: filled up with a code of its own
        codes = np.pad(codes, ((0, 0), (0, short)), constant_values=63)
        codes = np.sort(codes.reshape(len(codes), -1, size), axis=2)
        codes = (codes * (np.uint64(64) ** np.arange(size, dtype=np.uint64))).sum(axis=2)
    rounded = np.round(seen.self_loss, 9)
    return [row.tobytes() + loss.tobytes() for row, loss in zip(np.sort(codes, axis=1), rounded, strict=True)]


def run_setting(setting: Setting, draws: int, seed: int) -> Outcome:
    """All experiments of one setting; the same arguments give the same outcome."""
    scored = {(cell.group, cell.effect): score_cell(cell, draws, seed) for cell in cells_of(setting)}
    targets = [(effect, found) for (group, effect), found in scored.items() if group == "target"]
    rests = [(effect, found) for (group, effect), found in scored.items() if group == "rest"]
    return Outcome(
        setting=setting,
        draws=draws,
        experiments=[_join(gain, target, harm, rest) for gain, target in targets for harm, rest in rests],
        coverage={key: float(found.covered.mean()) for key, found in scored.items()},
    )


def verdicts(target: Scored, rest: Scored) -> list[str]:
    """The word of each draw."""
    words = []
    for index, (of_target, of_rest) in enumerate(zip(target.judged, rest.judged, strict=True)):
        improved = of_target.answer
        if improved == "yes" and of_target.improvement is not None:
            overall = find_overall(_population(target.seen, rest.seen, index))
            base_rate = float(target.seen.base[index].mean())
            improved = withstand_selection(of_target.improvement, base_rate, overall, LIMITS).answer
        words.append(TABLE[improved, of_rest.answer])
    return words


def _population(target: Arrays, rest: Arrays, index: int) -> Population:
    """All questions of one draw, none of them trained on."""
    n = target.difference.shape[1]
    group = None
    if target.clusters is not None and rest.clusters is not None:
        group = np.concatenate([target.clusters, rest.clusters + target.clusters.max() + 1])
    return Population(
        difference=np.concatenate([target.difference[index], rest.difference[index]]),
        base=np.concatenate([target.base[index], rest.base[index]]),
        weight=np.ones(n + rest.difference.shape[1]),
        targeted=np.arange(n + rest.difference.shape[1]) < n,
        group=group,
    )


def _join(gain: float, target: Scored, effect: float, rest: Scored) -> Experiment:
    names = Counter(verdicts(target, rest))
    return Experiment(
        gain=gain,
        harm=abs(effect),
        verdicts={name: count / len(target.judged) for name, count in names.items()},
        rivals={name: float(ships(target.first, rest.first).mean()) for name, ships in RIVALS.items()},
    )
