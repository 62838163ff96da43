"""Paired statistics against published values, independent computation, and their own error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest

from burnish.statistics import (
    design_effect,
    effective_counts,
    flip_rate,
    holm,
    mcnemar_exact,
    mcnemar_power,
    needs_questions,
    noninferiority,
    required_questions,
    self_loss_rate,
    tail_probability,
    tango_interval,
)
from burnish.statistics.intervals import score


def test_mcnemar_published_value() -> None:
    """Airway hyper-responsiveness data: 1 and 7 discordant. Source: Fagerland, Lydersen & Laake 2013, table 5: exact p = 0.0703."""
    assert mcnemar_exact(1, 7) == pytest.approx(0.0703125)


@pytest.mark.parametrize(("gained", "lost"), [(0, 1), (5, 0), (9, 1), (3, 3), (10, 25), (60, 40)])
def test_mcnemar_is_the_binomial_test(gained: int, lost: int) -> None:
    for alternative in ("two-sided", "greater", "less"):
        expected = binomtest(gained, gained + lost, 0.5, alternative=alternative).pvalue
        assert mcnemar_exact(gained, lost, alternative) == pytest.approx(expected)


def test_mcnemar_edges() -> None:
    assert [mcnemar_exact(0, 0, a) for a in ("two-sided", "greater", "less")] == [1.0, 1.0, 1.0]
    assert mcnemar_exact(4, 4) == 1.0
    assert mcnemar_exact(5, 0, "greater") == pytest.approx(1 / 32)
    assert mcnemar_exact(0, 5, "greater") == 1.0
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)


@pytest.mark.parametrize(
    ("gained", "lost", "n", "confidence", "expected"),
    [
        (
            1,
            7,
            21,
            0.95,
            (-0.517, -0.026),
        ),  # Fagerland, Lydersen & Laake 2014, Stat Med 33:2850, table on Bentur's data
        (0, 1, 44, 0.90, (-0.096, 0.037)),  # Tango 1998, the soft lens example: 90 % interval
    ],
)
def test_tango_published_values(
    gained: int, lost: int, n: int, confidence: float, expected: tuple[float, float]
) -> None:
    assert tango_interval(gained, lost, n, confidence) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("gained", "lost", "n"), [(5, 2, 20), (9, 1, 30), (0, 3, 30), (4, 0, 12), (30, 30, 90)])
@pytest.mark.parametrize("delta", [-0.4, -0.1, 0.05, 0.3])
def test_score_uses_the_constrained_maximum_likelihood(gained: int, lost: int, n: int, delta: float) -> None:
    """The closed form of the nuisance probability against a numerical maximisation of the likelihood."""

    def negative_log_likelihood(q: float) -> float:
        cells = ((gained, q + delta), (lost, q), (n - gained - lost, 1 - 2 * q - delta))
        return sum(-count * math.log(max(p, 1e-300)) for count, p in cells if count)

    bounds = (max(0.0, -delta), (1 - delta) / 2)
    q = minimize_scalar(negative_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    expected = (gained - lost - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))
    assert score(gained, lost, n, delta) == pytest.approx(expected, abs=1e-4)


def test_tango_edges() -> None:
    assert tango_interval(0, 0, 0) == (-1.0, 1.0)
    low, high = tango_interval(0, 0, 30)
    assert -low == pytest.approx(high)
    assert high == pytest.approx(1.96**2 / (30 + 1.96**2), abs=1e-3)
    assert tango_interval(10, 0, 10)[1] == 1.0
    assert tango_interval(0, 10, 10)[0] == -1.0
    assert tango_interval(1, 0, 1)[0] < 0.0
    for gained, lost, n in [(7, 2, 25), (0, 4, 9), (50, 49, 100)]:
        low, high = tango_interval(gained, lost, n)
        assert low < (gained - lost) / n < high
        assert tango_interval(lost, gained, n) == pytest.approx((-high, -low))
    for bad in [(3, 3, 5), (-1, 0, 5)]:
        with pytest.raises(ValueError, match="do not fit"):
            tango_interval(*bad)
    with pytest.raises(ValueError, match="confidence"):
        tango_interval(1, 1, 5, confidence=95)


@pytest.mark.parametrize(("n", "gain", "loss"), [(20, 0.3, 0.05), (30, 0.05, 0.05), (15, 0.7, 0.02)])
def test_tango_covers_at_small_n(n: int, gain: float, loss: float) -> None:
    """Exact coverage: every table weighed by its trinomial probability. Wald's would be as low as 0.86 here."""
    covered = 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            low, high = tango_interval(gained, lost, n)
            if low <= gain - loss <= high:
                covered += binom.pmf(gained, n, gain) * binom.pmf(lost, n - gained, loss / (1 - gain))
    assert 0.93 <= covered <= 0.985


def test_power_by_enumeration() -> None:
    n, gain, loss = 14, 0.5, 0.1
    rejects = 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            if mcnemar_exact(gained, lost, "greater") <= 0.05:
                rejects += binom.pmf(gained, n, gain) * binom.pmf(lost, n - gained, loss / (1 - gain))
    assert mcnemar_power(n, gain, loss) == pytest.approx(rejects)


def test_power_edges() -> None:
    assert mcnemar_power(0, 0.5, 0.1) == 0.0
    assert mcnemar_power(100, 0.0, 0.0) == 0.0
    assert mcnemar_power(4, 1.0, 0.0) == 0.0, "four gains cannot reach 5 %"
    assert mcnemar_power(5, 1.0, 0.0) == 1.0
    assert mcnemar_power(500, 0.1, 0.1) <= 0.05
    with pytest.raises(ValueError, match="shares"):
        mcnemar_power(10, 0.8, 0.3)


def test_required_questions() -> None:
    found = required_questions(0.3, 0.05)
    assert found is not None
    assert mcnemar_power(found, 0.3, 0.05) >= 0.8
    assert mcnemar_power(found - 4, 0.3, 0.05) < 0.8
    assert found == pytest.approx(32, abs=8), "normal approximation: 32"
    assert required_questions(0.1, 0.1) is None
    assert required_questions(0.1, 0.3) is None
    assert required_questions(0.001, 0.0009) is None


def test_needs_questions_falls_with_the_evidence() -> None:
    assert needs_questions(0, 0, 10, 0.1) == pytest.approx(50, abs=25)
    nothing, some = needs_questions(0, 0, 10, 0.1), needs_questions(4, 0, 10, 0.1)
    assert nothing is not None
    assert some is not None
    assert 1 <= some < nothing


def test_holm() -> None:
    """Worked example: sorted p 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made monotone."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]


def test_flip_rate() -> None:
    assert flip_rate([[True], [False]]) is None
    assert flip_rate([]) is None
    assert flip_rate([[True, True], [True, False], [False, False], [True]]) == pytest.approx(1 / 3)


def test_self_loss_rate() -> None:
    assert self_loss_rate([[True], [False]]) is None
    assert self_loss_rate([[False, False]]) is None
    assert self_loss_rate([[True, True]] * 9 + [[False, True]] * 2) == pytest.approx(1 / 10)
    assert self_loss_rate([[True, True, False], [True, True, True], [True, False, False]]) == pytest.approx(
        (1 / 3) / (4 / 3)
    )


def test_self_loss_rate_is_what_a_base_loses_against_itself() -> None:
    """Simulated: a candidate that is the base, questions with a mix of pass probabilities."""
    random = np.random.default_rng(0)
    chance = random.choice([0.02, 0.5, 0.9, 0.99, 1.0], size=20_000)
    first, second, again = (random.random(chance.size) < chance for _ in range(3))
    stable = first & second
    lost = (stable & ~again).sum() / stable.sum()
    estimate = self_loss_rate(list(zip(first.tolist(), second.tolist(), strict=True)))
    assert estimate is not None
    assert lost <= estimate <= 3 * lost, "an upper estimate with two samples, of the same order"


def test_tail_probability() -> None:
    assert tail_probability(0, 100, 0.01) == 1.0
    assert tail_probability(1, 100, 0.0) == 0.0
    assert tail_probability(4, 100, 0.01) == pytest.approx(1 - sum(binom.pmf(k, 100, 0.01) for k in range(4)))
    with pytest.raises(ValueError, match="do not fit"):
        tail_probability(5, 4, 0.1)


def test_averaging_samples_does_not_multiply_questions() -> None:
    """50 questions without a loss show nothing at 2 points, however often each was asked: 0.98^50 = 0.36."""
    flaky = np.array([0.2, -0.2] * 5 + [0.0] * 40)
    gained, lost, n = effective_counts(flaky, design_effect(flaky))
    assert n == 50
    assert gained == lost == pytest.approx(5 * 0.2**2)
    _, p_value = noninferiority(flaky)
    assert p_value > 0.3
