"""The pure parts of the main job: its clock, its recipes, and when it fails loudly."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.schemas.evaluation import EvalManifest, EvalRow
from burnish.verdict import decide
from burnish_client.demo import FULL, SMALL, NotImprovedError
from burnish_client.demo.clock import Clock
from burnish_client.demo.main_job import check_improved
from burnish_client.demo.stdlib_benchmark import quotas
from burnish_client.evaluation.comparison import Evaluation


def rows(targeted_passed: int, rest_passed: int, samples: int) -> list[EvalRow]:
    """30 held-out targeted questions and 100 of the rest, the first so many of each passed."""
    made = []
    for kind, number, passed in (("targeted", 30, targeted_passed), ("rest", 100, rest_passed)):
        for i in range(number):
            ok = i < passed
            made += [
                EvalRow(
                    question_id=f"{kind}-{i}",
                    sample=sample,
                    slice=kind,
                    targeted=kind == "targeted",
                    held_out=True,
                    passed=ok,
                    score=float(ok),
                    answer="…",
                )
                for sample in range(samples)
            ]
    return made


def evaluation(targeted_passed: int, rest_passed: int) -> Evaluation:
    base, candidate = rows(0, 80, 2), rows(targeted_passed, rest_passed, 1)
    verdict = decide(base, candidate)
    manifest = EvalManifest(id="e", base_model="b", candidate_model="c", benchmark="n/v", verdict=verdict.verdict)
    return Evaluation(
        verdict, manifest, Path(), base, candidate, reused_base_answers=len(base), baseline_rows={}, costs=[]
    )


def test_an_improvement_passes_also_where_the_rest_got_worse_or_is_not_settled():
    unsettled = evaluation(27, 80)
    assert unsettled.verdict.verdict == "inconclusive"
    check_improved(unsettled)
    worse = evaluation(27, 40)
    assert worse.verdict.verdict == "investigate"
    check_improved(worse)


@pytest.mark.parametrize("targeted_passed", [0, 3])
def test_no_significant_improvement_fails_with_the_numbers(targeted_passed: int):
    with pytest.raises(NotImprovedError, match=f"verdict inconclusive.*→ {100 * targeted_passed / 30:.1f} % of 30"):
        check_improved(evaluation(targeted_passed, 80))


def test_the_clock_numbers_steps_and_keeps_their_seconds(capsys: pytest.CaptureFixture[str]):
    clock = Clock(2)
    with clock.step("One"):
        pass
    with pytest.raises(ZeroDivisionError), clock.step("Two"):
        _ = 1 / 0
    assert list(clock.seconds) == ["One"]
    assert 0 <= clock.seconds["One"] <= clock.total_seconds
    printed = capsys.readouterr().out
    assert "1/2  One" in printed
    assert "2/2  Two" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_recipes_leave_enough_questions_to_decide_by():
    for recipe, least_held_out in ((FULL, 30), (SMALL, 8)):
        numbers = quotas(recipe.questions, recipe.target_weight)
        (largest, *rest) = numbers.values()
        assert largest * recipe.held_out_share >= least_held_out
        anchors = recipe.anchor_ratio * largest * (1 - recipe.held_out_share)
        assert sum(rest) - anchors >= 20, "fewer rest questions than a verdict wants"
    assert FULL.questions >= 240
    assert FULL.anchor_ratio > 1, "half as many replay rows as corrections lost twice as many other questions"
