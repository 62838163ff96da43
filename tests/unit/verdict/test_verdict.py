"""The decision table, its two questions, and what may not decide."""

from __future__ import annotations

import random

import pytest

from burnish.errors import InvalidInputError
from burnish.schemas.evaluation import EvalRow, JudgeCalibration, Verdict
from burnish.testing import eval_row, eval_side
from burnish.verdict import Thresholds, decide

FIXED = (["FF"] * 20, ["P"] * 20)  # base, candidate
UNMOVED = (["FF"] * 60, ["F"] * 60)
HELD = (["PP"] * 150, ["P"] * 150)  # fewer, without a loss, cannot exclude 2 points
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


def test_nothing_is_told_as_less_than_nothing() -> None:
    told = " ".join(verdict_on(UNMOVED, HELD).reasons)
    assert "brings back 0.0 %" in told
    assert "-0.0" not in told


def test_four_gains_are_too_few_and_five_are_enough() -> None:
    four, five = ((["F"] * n, ["P"] * n) for n in (4, 5))
    assert verdict_on(four, HELD).verdict == "inconclusive"
    assert (verdict_on(four, HELD).needs_questions or 0) >= 1
    assert verdict_on(five, HELD).verdict == "ship"
    assert verdict_on(five, HELD).needs_questions is None


@pytest.mark.parametrize(
    ("questions", "lost", "expected"),
    [
        (148, 0, "inconclusive"),
        (149, 0, "ship"),
        (150, 1, "inconclusive"),
        (100, 3, "inconclusive"),
        (100, 5, "investigate"),
        (60, 3, "inconclusive"),
        (60, 5, "investigate"),
        (500, 3, "ship"),
        (500, 5, "inconclusive"),
        (300, 9, "investigate"),
    ],
)
def test_held_is_shown_or_broken_is_shown_or_it_is_said_that_neither_is(
    questions: int, lost: int, expected: str
) -> None:
    rest = (["PP"] * questions, ["F"] * lost + ["P"] * (questions - lost))
    verdict = verdict_on(FIXED, rest)
    assert verdict.verdict == expected
    assert len(verdict.regressions) == lost
    assert (verdict.needs_rest_questions is not None) == (expected == "inconclusive")


def test_few_rest_questions_come_with_how_many_more() -> None:
    verdict = verdict_on(FIXED, (["PP"] * 60, ["P"] * 60))
    assert verdict.verdict == "inconclusive"
    assert verdict.needs_rest_questions == 149 - 60
    assert any("60 questions do not exclude a loss of 2 points" in r for r in verdict.reasons)
    assert any("About 89 more rest questions" in r for r in verdict.reasons)


def test_gains_elsewhere_do_not_hide_broken_things() -> None:
    """Twelve of what always passed are lost and forty gained: the net is far above the margin."""
    verdict = verdict_on(FIXED, (["PP"] * 150 + ["FF"] * 50, ["F"] * 12 + ["P"] * 188))
    assert (verdict.rest.delta or 0) > 0.1
    assert verdict.verdict == "investigate"
    assert any("12 of 150 rest questions that the base always passes regressed" in r for r in verdict.reasons)


def test_losses_that_may_be_noise_nobody_measured_are_not_called_broken() -> None:
    rest = (["P"] * 200 + ["F"] * 20, ["F"] * 10 + ["P"] * 190 + ["P"] * 10 + ["F"] * 10)
    verdict = verdict_on(FIXED, rest)
    assert verdict.verdict == "inconclusive"
    assert any("asked once" in r for r in verdict.reasons)
    twice = ([p * 2 for p in rest[0]], rest[1])
    assert verdict_on(FIXED, twice).verdict == "investigate"


def test_losses_within_the_noise_of_the_base_do_not_block() -> None:
    noisy = ["PP"] * 80 + ["PF"] * 10 + ["FP"] * 10
    lost = ["F"] * 8 + ["P"] * 72 + ["P"] * 20
    verdict = verdict_on(FIXED, (noisy, lost))
    assert verdict.verdict == "inconclusive"
    assert verdict.noise_flip_rate == pytest.approx(0.2)
    assert verdict.noise is not None
    assert verdict.noise.flaky["r0080"] == 1.0
    assert any("noise alone needs about" in w and "Ask both sides" in w for w in verdict.warnings)
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
    base += eval_side(["FF"] * 12 + ["PP"] * 160, prefix="g", slice="good") + eval_side(
        ["PF"] * 10, prefix="b", slice="bad"
    )
    candidate += eval_side(["P"] * 172, prefix="g", slice="good") + eval_side(["F"] * 10, prefix="b", slice="bad")
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


def test_rates_are_means_over_equal_sample_counts() -> None:
    verdict = verdict_on((["FFP", "FPP", "PFF"], ["PPF", "FFP", "PPF"]), HELD)
    assert (verdict.targeted.base, verdict.targeted.candidate) == (pytest.approx(4 / 9), pytest.approx(5 / 9))


def test_a_candidate_asked_once_is_compared_with_the_first_asking_of_the_base() -> None:
    verdict = verdict_on((["PF", "FP", "FP", "FP"], ["F", "P", "P", "P"]), HELD)
    assert (verdict.targeted.base, verdict.targeted.gained, verdict.targeted.lost) == (0.25, 3, 1)


def test_several_samples_show_what_one_cannot() -> None:
    """The same flips among noisy questions: averaged over four samples they cancel, over one they do not."""
    rng = random.Random(3)
    base = ["".join(rng.choice("PF") for _ in range(4)) for _ in range(40)] + ["PPPP"] * 260
    other = ["".join(rng.choice("PF") for _ in range(4)) for _ in range(40)] + ["PPPP"] * 260
    many, one = verdict_on(FIXED, (base, other)), verdict_on(FIXED, (base, [o[0] for o in other]))
    assert many.rest.ci_high is not None
    assert many.rest.ci_low is not None
    assert one.rest.ci_high is not None
    assert one.rest.ci_low is not None
    assert many.rest.ci_high - many.rest.ci_low < 0.7 * (one.rest.ci_high - one.rest.ci_low)


def clustered(rows: list[EvalRow], size: int) -> list[EvalRow]:
    """Neighbouring questions share a document."""
    return [
        row.model_copy(update={"cluster": f"doc{row.question_id[0]}{int(row.question_id[1:]) // size}"}) for row in rows
    ]


def test_questions_of_one_document_count_as_one() -> None:
    sides = [
        eval_side([t * len(base)] * 5, prefix="t", targeted=True) + eval_side([base] * 150, prefix="r")
        for t, base in (("F", "PP"), ("P", "P"))
    ]
    apart = decide(*sides)
    assert apart.verdict == "ship"
    one_document = decide(*(clustered(side, 5) for side in sides))
    assert one_document.verdict == "inconclusive", "five gains in one document are one gain"
    assert one_document.targeted.p_value == 0.5
    assert one_document.clusters == 31
    assert one_document.needs_questions is not None
    assert one_document.needs_questions >= 20, "at least four more documents of five: 1/2 ** 5 is the first below 5 %"
    assert any(w.startswith("5 of 5 targeted questions share 'doct0'") for w in one_document.warnings)
    assert not any("count as one" in w for w in apart.warnings)
    assert one_document.needs_rest_questions is not None


def test_a_cluster_is_the_same_on_every_row() -> None:
    with pytest.raises(InvalidInputError, match="disagree on slice, targeted, held_out or cluster"):
        decide([row(cluster="a")], [row(cluster="b")])


def test_scores_stand_beside_pass_and_fail() -> None:
    base = eval_side(["F"] * 20, prefix="t", targeted=True) + eval_side(["P"] * 20, prefix="r")
    candidate = [r.model_copy(update={"score": 0.75 if r.targeted else r.score}) for r in base]
    verdict = decide(base, candidate)
    assert verdict.targeted_score is not None
    assert verdict.targeted_score.delta == 0.75
    assert verdict.targeted_score.p_value == pytest.approx(0.5**20)
    assert verdict.rest_score is None, "scores that only repeat pass and fail say nothing more"


def test_base_asked_once_is_a_warning() -> None:
    verdict = verdict_on(FIXED, (["P"] * 60, ["P"] * 60))
    assert verdict.noise_flip_rate is None
    assert any("asked once" in w for w in verdict.warnings)


def test_ungraded_questions_are_left_out_and_said() -> None:
    verdict = verdict_on(FIXED, (["PP"] * 153, ["P"] * 150 + ["E", "S", "E"]))
    assert verdict.rest.n == 150
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


def test_the_margin_moves_the_line() -> None:
    rest = (["PP"] * 300, ["F"] * 8 + ["P"] * 292)
    sides = [
        eval_side([t * len(r[0])] * 20, prefix="t", targeted=True) + eval_side(r, prefix="r")
        for t, r in zip("FP", rest, strict=True)
    ]
    assert decide(*sides).verdict == "investigate"
    loose = decide(*sides, thresholds=Thresholds(margin=0.06))
    assert (loose.verdict, loose.margin) == ("ship", 0.06)


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


def graded_by(rows: list[EvalRow], judge: str, *, targeted: bool = True) -> list[EvalRow]:
    return [r.model_copy(update={"judge": judge}) if r.targeted == targeted else r for r in rows]


def calibration_of(judge: str, right: float, n: int = 200) -> JudgeCalibration:
    """As many answers passed as failed by people; the judge is right on this share of both."""
    return JudgeCalibration(
        judge=judge,
        judge_model="m",
        rubric_digest="r",
        n=n,
        positives=n // 2,
        kappa=2 * right - 1,
        kappa_low=0.0,
        kappa_high=1.0,
        true_positive_rate=right,
        true_positive_low=0.0,
        true_positive_high=1.0,
        true_negative_rate=right,
        true_negative_low=0.0,
        true_negative_high=1.0,
    )


def judged_sides() -> tuple[list[EvalRow], list[EvalRow]]:
    base = eval_side(["FF"] * 30, prefix="t", targeted=True) + eval_side(["PP"] * 150, prefix="r")
    candidate = eval_side(["P"] * 18 + ["F"] * 12, prefix="t", targeted=True) + eval_side(["P"] * 150, prefix="r")
    return graded_by(base, "j"), graded_by(candidate, "j")


def test_an_uncalibrated_judge_informs_and_never_decides() -> None:
    for calibration in (None, calibration_of("another judge", 0.95), calibration_of("j", 0.5)):
        verdict = decide(*judged_sides(), calibration=calibration)
        assert verdict.verdict == "inconclusive"
        assert verdict.targeted.n == 0
        assert verdict.judged is not None
        assert verdict.judged.delta == pytest.approx(0.6)
        assert any("30 held-out questions were graded by a judge that" in w for w in verdict.warnings)


def test_a_calibrated_judge_decides_with_its_errors_taken_out() -> None:
    verdict = decide(*judged_sides(), calibration=calibration_of("j", 0.9))
    assert verdict.verdict == "ship"
    assert verdict.judged is None
    assert verdict.targeted.delta == pytest.approx(0.6 / 0.8)
    raw = decide(*([r.model_copy(update={"judge": None}) for r in side] for side in judged_sides())).targeted
    assert verdict.targeted.ci_low is not None
    assert verdict.targeted.ci_high is not None
    assert raw.ci_low is not None
    assert raw.ci_high is not None
    assert verdict.targeted.ci_high - verdict.targeted.ci_low > raw.ci_high - raw.ci_low


def test_a_judged_rest_needs_more_questions_to_hold() -> None:
    """A judge that sees four fifths of a difference sees less of a loss: the margin shrinks with it."""
    sides = [
        graded_by(
            eval_side([t * len(r)] * 20, prefix="t", targeted=True) + eval_side([r] * 160, prefix="r"),
            "j",
            targeted=False,
        )
        for t, r in (("F", "PP"), ("P", "P"))
    ]
    verdict = decide(*sides, calibration=calibration_of("j", 0.9))
    assert verdict.verdict == "inconclusive"
    assert (verdict.needs_rest_questions or 0) > 40


def arm_of(targeted: str, rest: list[str]) -> tuple[str, list[EvalRow]]:
    rows = eval_side([targeted] * 40, prefix="t", targeted=True) + eval_side(rest, prefix="r")
    return "three corrections as examples in the prompt", rows


def test_a_cheaper_baseline_that_does_it_is_said_first_and_does_not_change_the_word() -> None:
    base = eval_side(["FF"] * 40, prefix="t", targeted=True) + eval_side(["PP"] * 150, prefix="r")
    candidate = arm_of("P", ["P"] * 150)[1]
    verdict = decide(
        base,
        candidate,
        baselines={
            "few-shot": arm_of("P", ["P"] * 150),
            "prompt": arm_of("F", ["P"] * 150),
            "harmful": arm_of("P", ["F"] * 30 + ["P"] * 120),
        },
    )
    assert verdict.verdict == "ship"
    assert verdict.cheaper_rung == "few-shot"
    assert verdict.reasons[0].startswith("A cheaper baseline does it: few-shot (three corrections")
    assert [arm.does_it for arm in verdict.arms] == [True, False, False]
    assert [r.partition(":")[0] for r in verdict.reasons[-2:]] == [
        "Baseline prompt did not do it",
        "Baseline harmful did not do it",
    ]
    assert verdict.arms[0].against_candidate.delta == 0.0
    assert verdict.arms[1].against_candidate.delta == -1.0


def test_an_arm_behind_the_adapter_does_not_do_it() -> None:
    base = eval_side(["FF"] * 40, prefix="t", targeted=True) + eval_side(["PP"] * 150, prefix="r")
    arm = eval_side(["P"] * 30 + ["F"] * 10, prefix="t", targeted=True) + eval_side(["P"] * 150, prefix="r")
    verdict = decide(base, arm_of("P", ["P"] * 150)[1], baselines={"few-shot": ("examples", arm)})
    assert verdict.cheaper_rung is None
    assert "it improves the target" in verdict.arms[0].reason


def test_a_baseline_on_other_questions_is_refused() -> None:
    base = eval_side(["F"] * 4, prefix="t", targeted=True)
    with pytest.raises(
        InvalidInputError, match=r"stand in base only .*: evaluate baseline few-shot on the same questions"
    ):
        decide(base, base, baselines={"few-shot": ("examples", base[:2])})


def test_an_arm_that_is_worse_on_the_rest_than_the_candidate_never_leads() -> None:
    """Both break the rest; that one breaks it far more was not looked at."""
    base = eval_side(["FF"] * 40, prefix="t", targeted=True) + eval_side(["PP"] * 150, prefix="r")
    candidate = arm_of("P", ["F"] * 12 + ["P"] * 138)[1]
    worse, alike = (arm_of("P", ["F"] * n + ["P"] * (150 - n)) for n in (50, 12))
    verdict = decide(base, candidate, baselines={"worse": worse, "alike": alike})
    assert [arm.does_it for arm in verdict.arms] == [False, True]
    assert verdict.cheaper_rung == "alike"


def test_the_margin_of_an_arm_shrinks_for_a_judge() -> None:
    """A judge that sees three fifths of a difference shows no equivalence that the counts just show without one."""
    base = eval_side(["FF"] * 200, prefix="t", targeted=True) + eval_side(["PP"] * 150, prefix="r")
    candidate = eval_side(["P"] * 200, prefix="t", targeted=True) + eval_side(["P"] * 150, prefix="r")
    arm = eval_side(["F"] * 3 + ["P"] * 197, prefix="t", targeted=True) + eval_side(["P"] * 150, prefix="r")
    plain = decide(base, candidate, baselines={"arm": ("examples", arm)})
    sides = [graded_by(side, "j", targeted=True) for side in (base, candidate, arm)]
    judged = decide(*sides[:2], baselines={"arm": ("examples", sides[2])}, calibration=calibration_of("j", 0.8))
    assert plain.arms[0].does_it
    assert not judged.arms[0].does_it


def test_a_judges_own_errors_are_not_called_broken() -> None:
    """300 judged rest questions, all truly right, by a judge that is right in nine of ten: it was investigate in all draws."""
    rng = random.Random(3)
    calibration = calibration_of("j", 0.9)
    broke = 0
    for _ in range(20):
        sides = []
        for letter, samples in (("F", 2), ("P", 1)):
            outcomes = ["".join("P" if rng.random() < 0.9 else "F" for _ in range(samples)) for _ in range(300)]
            rest = graded_by(eval_side(outcomes, prefix="r"), "j", targeted=False)
            sides.append(eval_side([letter * samples] * 20, prefix="t", targeted=True) + rest)
        broke += decide(*sides, calibration=calibration).verdict == "investigate"
    assert broke <= 3


def test_a_judge_asked_once_explains_what_it_loses_by_itself() -> None:
    rng = random.Random(5)
    sides = []
    for letter in "FP":
        outcomes = ["P" if rng.random() < 0.9 else "F" for _ in range(300)]
        sides.append(
            eval_side([letter] * 20, prefix="t", targeted=True)
            + graded_by(eval_side(outcomes, prefix="r"), "j", targeted=False)
        )
    verdict = decide(*sides, calibration=calibration_of("j", 0.9))
    assert not any("more than the margin explains" in reason for reason in verdict.reasons)


def test_one_judged_question_hardly_shrinks_the_margin() -> None:
    base = eval_side(["FF"] * 20, prefix="t", targeted=True) + eval_side(["PP"] * 170, prefix="r")
    candidate = eval_side(["P"] * 20, prefix="t", targeted=True) + eval_side(["P"] * 170, prefix="r")
    sides = [
        [row.model_copy(update={"judge": "j"}) if row.question_id == "r0000" else row for row in side]
        for side in (base, candidate)
    ]
    assert decide(*sides, calibration=calibration_of("j", 0.9)).verdict == "ship"


@pytest.mark.parametrize(("changed", "documents"), [(0, 1), (20, 2)])
def test_few_documents_prove_nothing(changed: int, documents: int) -> None:
    """40 unchanged questions of one document gave "did not improve" and an interval of ± 8.8 points."""
    size = 40 // documents
    target = [
        [
            row.model_copy(update={"cluster": f"d{i // size}"})
            for i, row in enumerate(eval_side(letters, prefix="t", targeted=True))
        ]
        for letters in (["F"] * 40, ["P"] * changed + ["F"] * (40 - changed))
    ]
    rest = eval_side(["P"] * 150, prefix="r")
    verdict = decide(target[0] + rest, target[1] + rest)
    assert verdict.verdict == "inconclusive"
    assert verdict.targeted.ci_high is not None
    assert verdict.targeted.ci_high > 0.3


def test_one_question_asked_twice_measures_no_noise() -> None:
    rest = eval_side(["PP"] + ["P"] * 99, prefix="r")
    base = eval_side(["F"] * 20, prefix="t", targeted=True) + rest
    verdict = decide(base, eval_side(["P"] * 20, prefix="t", targeted=True) + eval_side(["P"] * 100, prefix="r"))
    assert any(w.startswith("Only 1 of 100 rest questions were asked more than once") for w in verdict.warnings)
    assert verdict.noise is not None
    assert verdict.noise.questions == 1
