"""The simulator behind docs/verdict-error-rates.md: its truths are exact, and its short cut is the verdict's own answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench.verdict_simulation.bars import all_checks, must_not_ship, null_checks
from bench.verdict_simulation.cells import INTRA_CLUSTER_CORRELATION, SAMPLINGS, Cell, Setting, all_settings, cells_of
from bench.verdict_simulation.draws import BASE_RATE, Draws, difference_variance, draw
from bench.verdict_simulation.limits import noninferiority_limit
from bench.verdict_simulation.page import csv, null_csv, page
from bench.verdict_simulation.rivals import RIVALS, FirstAnswers
from bench.verdict_simulation.running import run_all, run_nulls
from bench.verdict_simulation.scoring import arrays, judge_rest, judge_target, run_setting, score_cell, verdicts
from bench.verdict_simulation.selection import all_learners, all_nulls

from burnish.schemas.evaluation import EvalRow
from burnish.statistics import mcnemar_power, noninferiority_power
from burnish.verdict import PairsByRole, decide, outcomes, pair

NOISY, AVERAGED = SAMPLINGS[2], SAMPLINGS[3]
SETTINGS = [Setting(200, 0.10, True, NOISY), Setting(200, 0.01, False, AVERAGED)]


@pytest.mark.parametrize("cell", [cell for setting in SETTINGS for cell in cells_of(setting)], ids=str)
def test_rates_and_noise_are_what_the_cell_states(cell: Cell) -> None:
    drawn = draw(cell, 1000, seed=3)
    base, candidate = drawn.base.mean(axis=2), drawn.candidate.mean(axis=2)

    def near(found: np.ndarray, expected: float) -> bool:
        by_draw = found.mean(axis=1)
        return abs(by_draw.mean() - expected) < 4 * by_draw.std() / np.sqrt(len(by_draw)) + 1e-9

    assert near(base, BASE_RATE[cell.group])
    assert near(candidate - base, cell.effect)
    assert near(drawn.base[:, :, 0] != drawn.base[:, :, 1], cell.setting.sampling.noise)
    difference = arrays(drawn, False).difference
    assert difference.var() == pytest.approx(difference_variance(cell), rel=0.05)


def test_changes_in_one_document_correlate_as_stated() -> None:
    cell = Cell(Setting(200, 0.10, True, SAMPLINGS[0]), "rest", -0.05)
    difference = arrays(draw(cell, 2000, seed=5), True).difference
    first, second = difference[:, 0::4].ravel(), difference[:, 1::4].ravel()
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(INTRA_CLUSTER_CORRELATION, abs=0.02)
    apart = difference[:, 3::4][:, :-1].ravel(), difference[:, 4::4].ravel()
    assert np.corrcoef(*apart)[0, 1] == pytest.approx(0, abs=0.02)


def _rows(drawn: Draws, index: int, targeted: bool, clustered: bool) -> tuple[list[EvalRow], list[EvalRow]]:
    sides = []
    for answers in (drawn.base, drawn.candidate):
        sides.append(
            [
                EvalRow(
                    question_id=f"{targeted}-{question}",
                    sample=sample,
                    targeted=targeted,
                    held_out=True,
                    passed=bool(passed),
                    score=float(passed),
                    cluster=f"{targeted}-{drawn.clusters[question]}" if clustered else None,
                )
                for question, passes in enumerate(answers[index])
                for sample, passed in enumerate(passes)
            ]
        )
    return sides[0], sides[1]


@pytest.mark.parametrize(
    ("setting", "gain", "harm"),
    [
        (Setting(50, 0.10, True, NOISY), 0.10, -0.05),
        (Setting(50, 0.01, True, AVERAGED), 0.30, 0.0),
        (Setting(200, 0.01, False, SAMPLINGS[0]), 0.30, 0.0),
        (Setting(100, 0.10, False, NOISY), 0.0, -0.10),
    ],
    ids=str,
)
def test_claims_apart_and_joined_by_the_table_are_decide_on_rows(setting: Setting, gain: float, harm: float) -> None:
    draws = 12
    cells = Cell(setting, "target", gain), Cell(setting, "rest", harm)
    target, rest = (draw(cell, draws, seed=7) for cell in cells)
    words = verdicts(*(score_cell(cell, draws, seed=7) for cell in cells))
    seen = [arrays(drawn, setting.clustered) for drawn in (target, rest)]
    for index in range(draws):
        sides = [_rows(target, index, True, setting.clustered), _rows(rest, index, False, setting.clustered)]
        verdict = decide([*sides[0][0], *sides[1][0]], [*sides[0][1], *sides[1][1]])
        assert verdict.verdict == words[index]
        groups = PairsByRole(pair([*sides[0][0], *sides[1][0]], [*sides[0][1], *sides[1][1]]))
        of_rows, of_draws = outcomes(groups.rest), seen[1].outcomes(index)
        assert of_draws.difference == pytest.approx(of_rows.difference)
        assert list(of_draws.stable) == list(of_rows.stable)
        assert list(of_draws.regression) == list(of_rows.regression)
        assert of_draws.self_loss == pytest.approx(of_rows.self_loss)
        for found, arrived, judge in (
            (verdict.targeted, seen[0], judge_target),
            (verdict.rest, seen[1], judge_rest),
        ):
            interval = judge(arrived.outcomes(index)).interval
            assert (found.ci_low, found.ci_high) == pytest.approx(interval)


def test_no_test_of_non_inferiority_beats_the_limit() -> None:
    for n, discordance in ((200, 0.01), (200, 0.10), (500, 0.01), (500, 0.05)):
        limit = noninferiority_limit(n, discordance)
        assert noninferiority_power(n, discordance) <= limit.any_test + 1e-3
        assert limit.plain_test <= limit.any_test
    # Without one change, only the number of questions counts: 0.98^149 < 0.05 <= 0.98^148.
    assert noninferiority_limit(149, 0.0).plain_test == pytest.approx(1.0)
    assert noninferiority_limit(148, 0.0).plain_test == 0.0


def test_a_target_finding_has_the_power_that_theory_gives_it() -> None:
    setting = Setting(50, 0.10, False, SAMPLINGS[0])
    judged = score_cell(Cell(setting, "target", 0.10), 1000, seed=2).judged
    assert sum(found.answer == "yes" for found in judged) / 1000 == pytest.approx(
        mcnemar_power(50, 0.15, 0.05), abs=0.05
    )


def test_rivals_do_as_they_say() -> None:
    def counts(base: int, candidate: int, gained: int, lost: int) -> FirstAnswers:
        return FirstAnswers(50, *(np.array([value]) for value in (base, candidate, gained, lost)))

    better, same, one_lost = counts(15, 30, 15, 0), counts(40, 40, 0, 0), counts(40, 40, 1, 1)
    much_lost = counts(40, 28, 0, 12)
    expected = {
        "means and any flip": (True, False, False, False),
        "means only": (True, True, False, False),
        "unpaired z-test": (True, True, False, False),
        "McNemar gate": (True, True, False, True),
    }
    for name, ships in RIVALS.items():
        pairs = ((better, same), (better, one_lost), (better, much_lost), (same, same))
        assert tuple(bool(ships(*pair)[0]) for pair in pairs) == expected[name], name


def test_a_small_run_has_no_false_ship_to_speak_of_and_writes_its_page(tmp_path: Path) -> None:
    settings = [s for s in all_settings() if s.n == 20]
    found = [run_setting(setting, 4, seed=1) for setting in settings]
    assert all(sum(e.verdicts.values()) == pytest.approx(1) for o in found for e in o.experiments)
    kept = run_all(settings[:1], 4, 1, tmp_path)
    assert kept == found[:1]
    assert run_all(settings[:1], 4, 1, tmp_path) == kept
    checks = all_checks(found)
    assert {check.bar for check in checks} == {"false-ship"}
    assert not [e for o in found for e in o.experiments if must_not_ship(e) and e.verdicts.get("ship", 0) > 0.5]
    assert csv(found).count("\n") == 1 + 12 * len(settings)
    nulls = run_nulls([null for null in [*all_nulls(), *all_learners()] if null.redrawn == 0.05], 2, 1, tmp_path)
    assert null_csv(nulls).count("\n") == 1 + len(nulls)
    checks += null_checks(nulls)
    written = page(found, nulls, checks, 4, 4, sizes=(20,))
    assert "FAIL" in written or all(check.passed for check in checks)
    assert "Targets chosen because the base failed them" in written
