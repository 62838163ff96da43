"""The decision table, its two questions, and what may not decide."""

from __future__ import annotations

import random

import pytest

from burnish.errors import InvalidInputError
from burnish.schemas.evaluation import EvalRow, Verdict
from burnish.testing import eval_row, eval_side
from burnish.verdict import Thresholds, decide

FIXED = (["FF"] * 20, ["P"] * 20)  # base, candidate
UNMOVED = (["FF"] * 60, ["F"] * 60)
HELD = (["PP"] * 60, ["P"] * 60)
BROKEN = (["PP"] * 60, ["P"] * 50 + ["F"] * 10)


def verdict_on(targeted: tuple[list[str], list[str]], rest: tuple[list[str], list[str]], **rest_fields: str) -> Verdict:
    base = eval_side(targeted[0], prefix="t", targeted=True) + eval_side(rest[0], prefix="r", **rest_fields)
    candidate = eval_side(targeted[1], prefix="t", targeted=True) + eval_side(rest[1], prefix="r", **rest_fields)
    return decide(base, candidate)


@pytest.mark.parametrize(
    ("targeted", "rest", "expected"),
    [
        (FIXED, HELD, "ship"),
        (FIXED, BROKEN, "investigate"),
        (UNMOVED, HELD, "data-quality"),
        (UNMOVED, BROKEN, "stop"),
        ((["F"] * 8, ["P"] * 3 + ["F"] * 5), HELD, "inconclusive"),
        ((["F"] * 8, ["P"] * 3 + ["F"] * 5), BROKEN, "inconclusive"),
        (FIXED, (["P"] * 10, ["P"] * 10), "inconclusive"),
        (UNMOVED, (["P"] * 10, ["P"] * 10), "data-quality"),
        ((["P"] * 30, ["F"] * 30), HELD, "data-quality"),
    ],
)
def test_table(targeted: tuple[list[str], list[str]], rest: tuple[list[str], list[str]], expected: str) -> None:
    assert verdict_on(targeted, rest).verdict == expected


def test_four_gains_are_too_few_and_five_are_enough() -> None:
    four, five = ((["F"] * n, ["P"] * n) for n in (4, 5))
    assert verdict_on(four, HELD).verdict == "inconclusive"
    assert (verdict_on(four, HELD).needs_questions or 0) >= 1
    assert verdict_on(five, HELD).verdict == "ship"
    assert verdict_on(five, HELD).needs_questions is None


@pytest.mark.parametrize(
    ("questions", "lost", "expected"),
    [
        (100, 1, "ship"),
        (100, 3, "ship"),
        (100, 4, "investigate"),
        (50, 2, "ship"),
        (50, 3, "investigate"),
        (500, 5, "ship"),
        (500, 15, "investigate"),
    ],
)
def test_a_few_losses_are_nothing_and_a_drop_is_something(questions: int, lost: int, expected: str) -> None:
    rest = (["PP"] * questions, ["F"] * lost + ["P"] * (questions - lost))
    verdict = verdict_on(FIXED, rest)
    assert verdict.verdict == expected
    assert len(verdict.regressions) == lost


def test_losses_within_the_noise_of_the_base_do_not_block() -> None:
    noisy = ["PP"] * 80 + ["PF"] * 10 + ["FP"] * 10
    lost = ["F"] * 8 + ["P"] * 72 + ["P"] * 20
    verdict = verdict_on(FIXED, (noisy, lost))
    assert verdict.verdict == "ship"
    assert verdict.noise_flip_rate == pytest.approx(0.2)
    quiet = verdict_on(FIXED, (["PP"] * 100, lost))
    assert quiet.verdict == "investigate"


def test_flaky_base_questions_are_noise_not_regressions() -> None:
    verdict = verdict_on(FIXED, (["PP"] * 60 + ["PF"] * 2, ["P"] * 60 + ["F"] * 2))
    assert verdict.regressions == []
    assert verdict.flaky_questions == ["r0060", "r0061"]
    assert any("flaky" in w and "r0060" in w for w in verdict.warnings)


def test_a_bad_slice_does_not_hide_in_a_good_average() -> None:
    """The slice's base is flaky, so that none of its losses is a regression by count; the rest gains elsewhere."""
    base = eval_side(["FF"] * 20, prefix="t", targeted=True)
    candidate = eval_side(["P"] * 20, prefix="t", targeted=True)
    base += eval_side(["FF"] * 12 + ["PP"] * 60, prefix="g", slice="good") + eval_side(
        ["PF"] * 10, prefix="b", slice="bad"
    )
    candidate += eval_side(["P"] * 72, prefix="g", slice="good") + eval_side(["F"] * 10, prefix="b", slice="bad")
    verdict = decide(base, candidate)
    assert verdict.regressions == []
    assert (verdict.rest.delta or 0) > 0
    assert verdict.verdict == "investigate"
    assert any("'bad'" in reason for reason in verdict.reasons)


def test_trained_questions_are_shown_and_never_decide() -> None:
    base = eval_side(["F"] * 60, prefix="t", targeted=True) + eval_side(["P"] * 40, prefix="r")
    candidate = eval_side(["F"] * 60, prefix="t", targeted=True) + eval_side(["P"] * 40, prefix="r")
    base += eval_side(["F"] * 50, prefix="x", targeted=True, held_out=False)
    candidate += eval_side(["P"] * 50, prefix="x", targeted=True, held_out=False)
    base += eval_side(["P"] * 30, prefix="a", held_out=False)
    candidate += eval_side(["F"] * 30, prefix="a", held_out=False)
    verdict = decide(base, candidate)
    assert verdict.verdict == "data-quality"
    assert (verdict.trained.delta, verdict.anchored.delta) == (1.0, -1.0)
    assert verdict.regressions == []
    assert sum(s.n for s in verdict.slices) == 100


def test_numbers_of_the_comparison() -> None:
    verdict = verdict_on((["F"] * 12 + ["P"] * 8, ["P"] * 10 + ["F"] * 2 + ["P"] * 7 + ["F"]), HELD)
    t = verdict.targeted
    assert (t.n, t.base, t.candidate, t.gained, t.lost) == (20, 0.4, 0.85, 10, 1)
    assert t.delta == pytest.approx(0.45)
    assert t.p_value == pytest.approx(12 / 2**11)
    assert t.ci_low is not None
    assert t.ci_high is not None
    assert t.ci_low < 0.45 < t.ci_high


def test_slices_are_corrected_for_their_number() -> None:
    base, candidate = eval_side(["F"] * 8, prefix="t", targeted=True), eval_side(["P"] * 8, prefix="t", targeted=True)
    for name in "abcd":
        base += eval_side(["F"] * 6 + ["P"] * 10, prefix=name, slice=name)
        candidate += eval_side(["P"] * 16, prefix=name, slice=name)
    verdict = decide(base, candidate)
    assert [s.slice for s in verdict.slices] == ["a", "all", "b", "c", "d"]
    assert {s.p_value for s in verdict.slices if s.slice != "all"} == {4 * 2 * 0.5**6}


def test_several_samples_favour_neither_side() -> None:
    """A base asked three times against itself asked once: outcomes of flaky questions do not shift either way."""
    rng = random.Random(0)
    base: list[str] = []
    candidate: list[str] = []
    for _ in range(2000):
        draw = "".join("P" if rng.random() < 0.8 else "F" for _ in range(4))
        base.append(draw[:3])
        candidate.append(draw[3])
    verdict = verdict_on(FIXED, (base, candidate))
    assert abs(verdict.rest.delta or 0) < 0.03


def test_majority_of_equal_sample_counts() -> None:
    verdict = verdict_on((["FFP", "FPP", "PFF"], ["PPF", "FFP", "PPF"]), HELD)
    assert (verdict.targeted.base, verdict.targeted.candidate) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_a_tie_goes_to_the_first_sample() -> None:
    verdict = verdict_on((["PF", "FP", "FP", "FP"], ["FP", "PF", "PF", "PF"]), HELD)
    assert (verdict.targeted.base, verdict.targeted.gained, verdict.targeted.lost) == (0.25, 3, 1)


def test_a_drop_that_cannot_be_excluded_is_warned_of() -> None:
    few, many = (verdict_on(FIXED, (["PP"] * n, ["P"] * n)) for n in (40, 120))
    assert few.verdict == many.verdict == "ship"
    assert any("room for a drop of up to 8.8 points" in w for w in few.warnings)
    assert not any("room for a drop" in w for w in many.warnings)


def test_base_asked_once_is_a_warning() -> None:
    verdict = verdict_on(FIXED, (["P"] * 60, ["P"] * 60))
    assert verdict.noise_flip_rate is None
    assert any("asked once" in w for w in verdict.warnings)


def test_ungraded_questions_are_left_out_and_said() -> None:
    verdict = verdict_on(FIXED, (["PP"] * 60, ["P"] * 57 + ["E", "S", "E"]))
    assert verdict.rest.n == 57
    assert verdict.verdict == "ship"
    assert any("3 questions could not be graded" in w and "HTTP 500" in w for w in verdict.warnings)


def test_too_many_ungraded_questions_settle_nothing() -> None:
    assert verdict_on(FIXED, (["PP"] * 60, ["P"] * 50 + ["E"] * 10)).verdict == "inconclusive"
    assert verdict_on((["F"] * 20, ["P"] * 16 + ["E"] * 4), HELD).verdict == "inconclusive"
    assert verdict_on((["F"] * 4, ["E"] * 4), HELD).verdict == "inconclusive"


def test_no_rest_or_no_target_is_inconclusive() -> None:
    only_targeted = eval_side(["F"] * 20, prefix="t", targeted=True), eval_side(["P"] * 20, prefix="t", targeted=True)
    assert decide(*only_targeted).verdict == "inconclusive"
    only_rest = eval_side(["P"] * 30, prefix="r"), eval_side(["P"] * 30, prefix="r")
    assert decide(*only_rest).verdict == "inconclusive"
    assert decide(*only_rest).targeted.p_value is None


def test_thresholds_move_the_line() -> None:
    sides = (
        eval_side(["F"] * 20, prefix="t", targeted=True) + eval_side(["P"] * 100, prefix="r"),
        eval_side(["P"] * 20, prefix="t", targeted=True) + eval_side(["F"] * 6 + ["P"] * 94, prefix="r"),
    )
    assert decide(*sides).verdict == "investigate"
    assert decide(*sides, thresholds=Thresholds(tolerated_loss_rate=0.05, alpha=0.01)).verdict == "ship"


def test_order_of_rows_does_not_matter() -> None:
    rows = eval_side(["PF", "FF"] * 20, prefix="t", targeted=True) + eval_side(["PP"] * 30, prefix="r")
    other = eval_side(["P", "P"] * 20, prefix="t", targeted=True) + eval_side(["P"] * 30, prefix="r")
    shuffled = random.Random(1).sample(rows, len(rows))
    first, second = decide(rows, other), decide(shuffled, other)
    assert first.model_copy(update={"flaky_questions": [], "slices": []}) == second.model_copy(
        update={"flaky_questions": [], "slices": []}
    )


def row(question_id: str = "q", passed: bool | None = True, **fields: object) -> EvalRow:
    return eval_row(question_id, passed).model_copy(update=fields)


@pytest.mark.parametrize(
    ("base", "candidate", "message"),
    [
        ([], [row()], "base has no rows"),
        ([row()], [], "candidate has no rows"),
        ([row(), row()], [row()], "base row 2: question 'q' sample 0 stands already at base row 1"),
        ([row()], [row("other")], "1 questions stand in base only .q.: evaluate candidate"),
        ([row()], [row(), row("other")], "1 questions stand in candidate only .other.: evaluate base"),
        ([row(targeted=True)], [row()], "'q': base and candidate disagree"),
        ([row(), row(sample=1, slice="x")], [row()], "base row 2: question 'q' has another slice"),
        ([row(passed=None, score=None)], [row()], "base row 1: `passed` is null without"),
        ([row(error="boom")], [row()], "base row 1: `passed` is set together"),
        (
            [row()],
            [eval_row("q", None, skipped_reason="no grader")],
            "candidate: none of 1 rows is graded; the first says: no grader",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(base: list[EvalRow], candidate: list[EvalRow], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        decide(base, candidate)


def test_false_ship_rate_on_no_effect() -> None:
    """A candidate that is the base (10 % passing on target, 3 % flips): improvement is claimed in at most 5 % of runs."""
    rng = random.Random(7)

    def draw(count: int, chance: float, samples: int) -> list[str]:
        return ["".join("P" if rng.random() < chance else "F" for _ in range(samples)) for _ in range(count)]

    shipped = sum(
        verdict_on((draw(30, 0.1, 2), draw(30, 0.1, 1)), (draw(40, 0.97, 2), draw(40, 0.97, 1))).verdict == "ship"
        for _ in range(150)
    )
    assert shipped <= 12
