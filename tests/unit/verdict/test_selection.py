"""Regression to the mean: what was chosen because it failed passes again by itself, and that is no improvement."""

from __future__ import annotations

import numpy as np
import pytest
from bench.verdict_simulation.selection import Null, draw_pairs, score_null

from burnish.schemas.evaluation import EvalRow
from burnish.statistics import mcnemar_exact, weighted_change
from burnish.testing import eval_row, eval_side
from burnish.verdict import Pairing, PairsByRole, Thresholds, decide, find_claims

DRAWS = 60


def chosen_by_failure(
    passing: float, redrawn: float, random: np.random.Generator
) -> tuple[list[EvalRow], list[EvalRow]]:
    """300 questions, all that the base fails are targets, and the candidate answers a share anew with the base's ability."""
    base = random.random(300) < passing
    candidate = np.where(random.random(300) < redrawn, random.random(300) < passing, base)
    return tuple(  # type: ignore[return-value]
        [eval_row(f"q{i:03d}", bool(side[i]), targeted=not base[i]) for i in range(300)] for side in (base, candidate)
    )


@pytest.mark.parametrize(("passing", "redrawn"), [(0.3, 1.0), (0.3, 0.2), (0.9, 0.1), (0.9, 1.0)])
def test_a_candidate_that_only_answers_anew_did_not_improve(passing: float, redrawn: float) -> None:
    """The rule before said "the target improved" in 30 of 30 draws at 30 % passing, and ship in 4 of 30 at 90 %."""
    random = np.random.default_rng(11)
    verdicts = [decide(*chosen_by_failure(passing, redrawn, random)) for _ in range(DRAWS)]
    assert sum(verdict.reasons[0].startswith("The target improved") for verdict in verdicts) <= 8
    assert sum(verdict.verdict == "ship" for verdict in verdicts) <= 3


@pytest.mark.parametrize("passing", [0.3, 0.6, 0.9])
def test_a_fall_within_noise_is_no_alarm(passing: float) -> None:
    """Half of all mere changes of answers pass a little less; the alarm is for a fall that its interval shows."""
    random = np.random.default_rng(12)
    verdicts = [decide(*chosen_by_failure(passing, 0.5, random)) for _ in range(DRAWS)]
    fell = [verdict for verdict in verdicts if verdict.overall is not None and (verdict.overall.delta or 0) < 0]
    assert len(fell) > DRAWS / 3
    alarmed = [one for one in verdicts if any("Overall accuracy fell" in reason for reason in one.reasons)]
    assert len(alarmed) <= 4
    told = [one for one in fell if any(reason.startswith("Overall, weighted") for reason in one.reasons)]
    assert len(told) == len(fell)


def test_at_chance_level_the_sentence_says_why_and_the_numbers_are_there() -> None:
    """What six BIG-Bench-Hard tasks showed: 0 → 22 % on the target, and fewer passed than before over all questions."""
    sides = []
    for fixed, kept, trained, replay in ((0, 200, 0, 40), (27, 120, 30, 30)):
        rows = eval_side(["P"] * fixed + ["F"] * (120 - fixed), prefix="t", targeted=True)
        rows += eval_side(["P"] * kept + ["F"] * (200 - kept), prefix="r")
        rows += eval_side(["P"] * trained + ["F"] * (280 - trained), prefix="x", targeted=True, held_out=False)
        rows += eval_side(["P"] * replay + ["F"] * (40 - replay), prefix="a", held_out=False)
        sides.append([row.model_copy(update={"chance": 0.25}) for row in rows])
    verdict = decide(*sides)
    assert verdict.verdict == "stop"
    assert verdict.reasons[0].startswith(
        "The target did not improve by more than its selection explains: 0.0 % → 22.5 %"
    )
    assert verdict.chance == 0.25
    assert verdict.overall is not None
    assert verdict.overall.base == pytest.approx(240 / 640)
    assert (verdict.overall.delta or 0) < 0
    # 80 of 200 held-out passing questions were lost; with the replay rows they stand for 240, so 96 of them
    assert verdict.recovery_floor == pytest.approx(96 / 400)
    first = " ".join(verdict.reasons[:3])
    assert "fell: 37.5 %" not in first  # 6 questions of 640 less are noise
    assert any("benchmark: 37.5 % → 36.6 % over all questions, change −0.9 points" in one for one in verdict.reasons)
    assert "trained on did not improve" in first
    assert any(reason.startswith("The replay rows fell") for reason in verdict.reasons[:4])


def test_a_target_in_a_slice_of_its_own_improved_even_if_another_slice_broke() -> None:
    sides = [
        eval_side([letter] * 20, prefix="t", slice="dates", targeted=True)
        + eval_side(["PP" if letter == "F" else "P"] * 30, prefix="d", slice="dates")
        + eval_side(kept, prefix="r", slice="sums")
        for letter, kept in (("F", ["PP"] * 100), ("P", ["F"] * 40 + ["P"] * 60))
    ]
    verdict = decide(*sides)
    assert verdict.verdict == "investigate"
    assert verdict.reasons[0].startswith("The target improved")
    assert any(reason.startswith("Overall accuracy fell") for reason in verdict.reasons[:3])


@pytest.mark.parametrize("lost", [15, 40])
def test_as_many_lost_as_fixed_settles_nothing(lost: int) -> None:
    """A base that passes 96 % and answers anew would fix these 20 too: neither improved nor "did not improve" is shown."""
    base = eval_side(["F"] * 20, prefix="t", targeted=True) + eval_side(["PP"] * 500, prefix="r")
    candidate = eval_side(["P"] * 20, prefix="t", targeted=True) + eval_side(
        ["F"] * lost + ["P"] * (500 - lost), prefix="r"
    )
    verdict = decide(base, candidate)
    assert verdict.verdict == "inconclusive"
    assert verdict.reasons[0].startswith("It is not shown that the target improved by more than its selection explains")


def test_held_out_questions_stand_for_those_that_were_trained_on() -> None:
    """Three in ten corrections are held out and two in three passing questions; the overall accuracy is that of all 100."""
    roles = [
        ("t", "F", True, True, 12),
        ("x", "F", True, False, 28),
        ("r", "P", False, True, 40),
        ("a", "P", False, False, 20),
    ]
    base = [
        row
        for prefix, letter, targeted, held_out, n in roles
        for row in eval_side([letter] * n, prefix=prefix, targeted=targeted, held_out=held_out)
    ]
    fixed = {f"t{i:04d}" for i in range(6)}
    lost = {"r0000"}
    candidate = [
        row.model_copy(update={"passed": (row.passed or row.question_id in fixed) and row.question_id not in lost})
        for row in base
    ]
    overall = decide(base, candidate).overall
    assert overall is not None
    assert overall.base == pytest.approx(0.60)
    assert overall.candidate == pytest.approx(0.60 + 6 * 40 / 12 / 100 - 60 / 40 / 100)
    assert (overall.n, overall.gained, overall.lost) == (52, 20, 2)


@pytest.mark.parametrize(("fixed", "regressed"), [(5, 0), (12, 3), (4, 9), (30, 12)])
def test_equal_weights_are_the_exact_sign_test(fixed: int, regressed: int) -> None:
    differences = [1.0] * fixed + [-1.0] * regressed + [0.0] * 50
    for weight in (1.0, 3.0):
        found = weighted_change(differences, [weight] * len(differences))
        assert found.p_value == pytest.approx(mcnemar_exact(fixed, regressed, "greater"), abs=1e-9)
        assert found.fixed == weight * fixed


def test_questions_of_one_document_are_one_change() -> None:
    differences, groups = [1.0] * 12 + [0.0] * 60, [i // 12 for i in range(72)]
    alone = weighted_change(differences, np.ones(72))
    together = weighted_change(differences, np.ones(72), groups)
    assert alone.p_value < 0.001
    assert together.p_value > 0.05
    assert together.interval[0] < alone.interval[0]


def test_without_a_change_nothing_is_shown() -> None:
    assert weighted_change([0.0] * 20, [1.0] * 20).p_value == 1.0
    assert weighted_change([], []).interval == (-1.0, 1.0)


@pytest.mark.parametrize(
    "null",
    [Null("plain", 0.3, 1.0), Null("noise", 0.5, 0.2), Null("slices", 0.5, 1.0), Null("documents", 0.7, 0.5)],
    ids=str,
)
def test_the_simulated_nulls_are_seldom_called_improved(null: Null) -> None:
    found = score_null(null, 100, seed=2)
    assert found.improved <= 0.11  # 5 % and three standard errors
    assert found.shipped <= 0.05
    assert found.without > found.improved


def test_a_candidate_that_learnt_is_still_found() -> None:
    assert score_null(Null("plain", 0.5, 0.05, 0.9), 40, seed=2).improved == 1.0


def test_the_simulation_draws_the_shares_that_it_states() -> None:
    random = np.random.default_rng(4)
    pairs = [p for _ in range(40) for p in draw_pairs(Null("plain", 0.7, 0.2), random)]
    passed = np.array([p.base_passed for p in pairs])
    assert passed.mean() == pytest.approx(0.7, abs=0.02)
    assert np.mean([p.candidate_passed for p in pairs]) == pytest.approx(0.7, abs=0.02)
    assert np.mean([p.candidate_passed != p.base_passed for p in pairs]) == pytest.approx(0.2 * 2 * 0.7 * 0.3, abs=0.01)
    assert all(p.targeted != p.base_passed for p in pairs)
    assert np.mean([p.held_out for p in pairs if p.targeted]) == pytest.approx(0.3, abs=0.01)


def test_the_simulation_decides_as_the_verdict_does() -> None:
    null, random = Null("documents", 0.5, 0.5, 0.6), np.random.default_rng(6)
    for _ in range(10):
        pairs = draw_pairs(null, random)
        rows = [
            [
                eval_row(p.question_id, side(p), slice=p.slice, targeted=p.targeted, held_out=p.held_out).model_copy(
                    update={"cluster": p.group}
                )
                for p in pairs
            ]
            for side in (lambda p: p.base_passed, lambda p: p.candidate_passed)
        ]
        verdict = decide(*rows)
        improvement, harm, overall = find_claims(PairsByRole(Pairing(pairs, [])), Thresholds(), details=False)
        assert verdict.reasons[0].startswith("The target improved") == (improvement.answer == "yes")
        assert overall is not None
        assert verdict.overall is not None
        assert verdict.overall.p_value == pytest.approx(overall.p_value)
        assert verdict.rest.n == harm.n
