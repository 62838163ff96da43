"""Sign-flip test, design effect, non-inferiority, judge arithmetic: published values, enumeration, their own error rates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from burnish.statistics import (
    cohens_kappa,
    compare_scores,
    design_effect,
    detectable_difference,
    disagreement_rate,
    mcnemar_exact,
    mcnemar_power,
    noninferiority,
    noninferiority_bound,
    noninferiority_p,
    noninferiority_power,
    paired_interval,
    required_rest_questions,
    rogan_gladen_delta,
    sign_flip_exact,
    tango_interval,
    wilson_interval,
    youden_index,
)
from burnish.statistics.noninferiority import STEP, _critical, _least_gains, _region_probability


@pytest.mark.parametrize(("gained", "lost", "same"), [(5, 1, 14), (0, 3, 2), (12, 4, 0), (0, 0, 9)])
def test_sign_flip_of_single_pass_fail_questions_is_mcnemar(gained: int, lost: int, same: int) -> None:
    differences = [1.0] * gained + [-1.0] * lost + [0.0] * same
    for alternative in ("greater", "less", "two-sided"):
        assert sign_flip_exact(differences, None, alternative) == mcnemar_exact(gained, lost, alternative)


@pytest.mark.parametrize(
    ("differences", "groups"),
    [
        ([1, 1, 1, -1, 0, 1, 1, -1], [0, 0, 1, 1, 2, 2, 3, 4]),
        ([0.5, 1, 1 / 3, -0.5, 2 / 3], None),
        ([1, 1, 0.5, -0.5, 1], ["a", "a", "b", "c", "c"]),
    ],
)
def test_sign_flip_by_enumeration(differences: list[float], groups: list[object] | None) -> None:
    labels = groups or list(range(len(differences)))
    sums = [sum(d for d, c in zip(differences, labels, strict=True) if c == name) for name in sorted(set(labels))]
    flipped = [
        sum(s * abs(v) for s, v in zip(signs, sums, strict=True))
        for signs in itertools.product((1, -1), repeat=len(sums))
    ]
    expected = sum(total >= sum(sums) - 1e-9 for total in flipped) / len(flipped)
    assert sign_flip_exact(differences, groups) == pytest.approx(expected)


def test_sign_flip_of_real_scores_and_bad_input() -> None:
    differences = np.random.default_rng(0).normal(0.1, 0.2, size=12)
    flipped = np.array(
        [s @ np.abs(differences) for s in itertools.product((1.0, -1.0), repeat=12) for s in [np.array(s)]]
    )
    assert sign_flip_exact(differences) == pytest.approx((flipped >= differences.sum()).mean(), abs=2e-3)
    assert sign_flip_exact([]) == 1.0
    with pytest.raises(ValueError, match="finite"):
        sign_flip_exact([0.5, float("nan")])
    with pytest.raises(ValueError, match="do not fit"):
        sign_flip_exact([1.0], ["a", "b"])


def test_design_effect_of_identical_copies_is_their_number_and_more_for_few_groups() -> None:
    alone = np.random.default_rng(1).choice([1.0, -1.0, 0.0], size=400)
    groups = np.repeat(np.arange(400), 4)
    assert design_effect(alone) == design_effect(np.zeros(10)) == 1.0
    assert design_effect(np.repeat(alone, 4), groups) == pytest.approx(4, rel=0.03)
    few = design_effect(np.repeat(alone[:8], 4), groups[:32])
    assert few > 4
    assert paired_interval(np.repeat(alone, 4), groups) == pytest.approx(paired_interval(alone), abs=0.005)


def test_paired_interval_of_independent_questions_is_tangos() -> None:
    assert paired_interval([1.0] * 5 + [-1.0] * 2 + [0.0] * 23) == tango_interval(5, 2, 30)


@pytest.mark.parametrize(("questions", "held"), [(133, False), (148, False), (149, True)])
def test_no_loss_at_all_needs_149_questions_at_two_points(questions: int, held: bool) -> None:
    bound, p_value = noninferiority(np.zeros(questions))
    assert p_value == pytest.approx(0.98**questions, abs=1e-6)
    assert (p_value < 0.05) == (bound > -0.02) == held


@pytest.mark.parametrize("n", [20, 50, 100, 149, 200, 333, 500])
@pytest.mark.parametrize("margin", [0.02, 0.05])
def test_noninferiority_is_wrong_in_at_most_one_of_twenty_by_enumeration(n: int, margin: float) -> None:
    """Harm exactly at the margin, total discordance from the margin to 30 %: every table weighed by its probability."""
    gains = _least_gains(_critical(n, -margin, 0.05) * STEP, n, -margin)
    loss = np.linspace(margin, (0.3 + margin) / 2, 300)
    assert _region_probability(gains, n, loss, loss - margin).max() <= 0.0502


def test_the_region_is_that_of_the_p_values() -> None:
    n, power = 60, 0.0
    loss, gain = 0.02, 0.1
    for gained in range(n + 1):
        for lost in range(min(6, n + 1 - gained)):
            if noninferiority_p(gained, lost, n) < 0.05:
                rest = n - gained - lost
                ways = float(np.prod([(n - i) / (i + 1) for i in range(gained)]))
                ways *= float(np.prod([(n - gained - i) / (i + 1) for i in range(lost)]))
                power += ways * gain**gained * loss**lost * (1 - gain - loss) ** rest
    assert noninferiority_power(n, gain + loss, delta=gain - loss) == pytest.approx(power, abs=0.003)


def test_noninferiority_edges_and_power() -> None:
    assert noninferiority([]) == (-1.0, 1.0)
    assert noninferiority_p(0, 10, 100) > 0.5
    assert noninferiority_bound(0, 0, 1000) > -0.004
    assert required_rest_questions(0.0) == 149
    needed = required_rest_questions(0.05)
    assert needed is not None
    assert noninferiority_power(needed, 0.05) >= 0.8 > noninferiority_power(int(0.9 * needed), 0.05)
    with pytest.raises(ValueError, match="margin"):
        noninferiority_p(0, 0, 10, 0.0)
    with pytest.raises(ValueError, match="does not allow"):
        noninferiority_power(10, 0.1, delta=0.2)


def test_detectable_difference_has_the_power() -> None:
    found = detectable_difference(50, 0.1)
    assert found is not None
    assert mcnemar_power(50, 0.05 + found, 0.05) >= 0.8 > mcnemar_power(50, 0.05 + found - 0.02, 0.05)
    assert detectable_difference(4) is None


def test_disagreement_rate() -> None:
    assert disagreement_rate([[True], [False]]) is None
    assert disagreement_rate([[True, False], [True, True], [True, True, False]]) == pytest.approx((1 + 0 + 2 / 3) / 3)


def test_score_comparison() -> None:
    found = compare_scores([0.2, 0.4, 0.6], [0.4, 0.5, 0.9])
    assert found.delta == pytest.approx(0.2)
    assert found.ci_low == pytest.approx(0.2 - 4.302653 * 0.1 / 3**0.5, abs=1e-5)
    assert found.p_value == pytest.approx(0.25)
    assert compare_scores([], []).p_value is None
    assert compare_scores([0.1, 0.2], [0.3, 0.4], ["a", "a"]).ci_low == -1.0


def test_wilson_published_value() -> None:
    """Newcombe 1998, table I, method 3: 81 of 263 and 0 of 20."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_kappa_worked_example() -> None:
    """20 both passed, 5 and 10 apart, 15 both failed: 0.7 seen, 0.5 by chance, kappa 0.4."""
    judge = [True] * 25 + [False] * 25
    human = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    kappa, low, high = cohens_kappa(judge, human)
    assert kappa == pytest.approx(0.4)
    assert -1 < low < 0.4 < high < 1
    assert cohens_kappa([True] * 5, [True] * 5)[0] == 0.0


def test_rogan_gladen_divides_by_youden_and_widens() -> None:
    found = rogan_gladen_delta(0.3, (0.2, 0.4), (90, 100), (80, 100))
    assert found is not None
    assert found[0] == pytest.approx(0.3 / 0.7)
    assert found[2] - found[1] > 0.2 / 0.7
    assert found == rogan_gladen_delta(0.3, (0.2, 0.4), (90, 100), (80, 100)), "seeded"
    for coin in [((50, 100), (50, 100)), ((6, 10), (6, 10)), ((0, 0), (5, 5)), ((30, 100), (40, 100))]:
        assert rogan_gladen_delta(0.3, (0.2, 0.4), *coin) is None
        assert youden_index(*coin) is None


def test_rogan_gladen_interval_covers() -> None:
    """True difference 0.3, a judge of 0.9 and 0.85, calibrated on 100 + 100 answers, 200 questions a side."""
    random = np.random.default_rng(6)
    covered = 0
    for seed in range(200):
        counts = (int(random.binomial(100, 0.9)), 100), (int(random.binomial(100, 0.85)), 100)
        base, other = random.random(200) < 0.4, random.random(200) < 0.7
        seen = [
            np.where(side, random.random(200) < 0.9, random.random(200) >= 0.85).astype(float) for side in (base, other)
        ]
        difference = seen[1] - seen[0]
        found = rogan_gladen_delta(float(difference.mean()), paired_interval(difference), *counts, seed=seed)
        covered += found is not None and found[1] <= 0.3 <= found[2]
    assert 0.92 <= covered / 200 <= 1.0
