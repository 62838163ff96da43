"""The two claims on drawn outcomes: how often they are wrong. The whole table is `make bench-verdict`'s."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from burnish.verdict import Outcomes, Thresholds, find_harm, find_improvement

LIMITS = Thresholds()
RUNS = 400


def flips(random: np.random.Generator, n: int, gain: float, loss: float) -> NDArray[np.float64]:
    return random.choice([1.0, -1.0, 0.0], size=n, p=[gain, loss, 1 - gain - loss])


@pytest.mark.parametrize(("n", "flip"), [(20, 0.2), (100, 0.05), (100, 0.3)])
def test_no_effect_is_called_an_improvement_in_at_most_one_of_twenty(n: int, flip: float) -> None:
    random = np.random.default_rng(1)
    found = sum(
        find_improvement(Outcomes(flips(random, n, flip / 2, flip / 2)), LIMITS).answer == "yes" for _ in range(RUNS)
    )
    assert found <= 0.05 * RUNS + 2 * np.sqrt(RUNS * 0.05 * 0.95)


@pytest.mark.parametrize(("n", "gain"), [(149, 0.0), (200, 0.0), (200, 0.02), (500, 0.05)])
def test_a_harm_of_the_margin_is_called_held_in_at_most_one_of_twenty(n: int, gain: float) -> None:
    random = np.random.default_rng(2)
    held = sum(
        find_harm(Outcomes(flips(random, n, gain, gain + LIMITS.margin)), LIMITS, details=False).held
        for _ in range(RUNS)
    )
    assert held <= 0.05 * RUNS + 2 * np.sqrt(RUNS * 0.05 * 0.95)


def test_harm_in_whole_documents_is_not_called_held() -> None:
    """Five questions a document, all lost together, two documents in a hundred: without groups it would be held too often."""
    random = np.random.default_rng(3)
    groups = np.arange(200) // 5
    held = {True: 0, False: 0}
    for _ in range(RUNS):
        difference = -np.repeat((random.random(40) < LIMITS.margin).astype(float), 5)
        for aware in held:
            outcomes = Outcomes(difference, group=groups if aware else None)
            held[aware] += find_harm(outcomes, LIMITS, details=False).held
    assert held[True] <= 0.05 * RUNS < held[False]


def test_the_base_against_itself_is_seldom_called_broken() -> None:
    """Questions that flip in one of twelve askings, base asked twice: the noise is measured, and explains what is lost."""
    random = np.random.default_rng(4)
    broke = 0
    for _ in range(RUNS):
        chance = np.where(random.random(200) < 0.3, 0.75, 1.0)
        first, second, other = (random.random(200) < chance for _ in range(3))
        stable = first & second
        disagree = float((first != second).mean())
        outcomes = Outcomes(
            other.astype(float) - first,
            stable=stable,
            regression=stable & ~other,
            self_loss=disagree / 2 / (disagree / 2 + float(stable.mean())),
            noise=disagree,
        )
        broke += find_harm(outcomes, LIMITS, details=False).answer == "yes"
    assert broke <= 0.1 * RUNS


def test_losses_of_one_document_are_one_loss_to_the_guard() -> None:
    stable, difference = np.ones(200, dtype=bool), np.zeros(200)
    difference[:10] = -1.0
    arguments = {"stable": stable, "regression": difference < 0, "self_loss": 0.0, "noise": 0.0}
    alone = find_harm(Outcomes(difference, **arguments), LIMITS)
    together = find_harm(Outcomes(difference, group=np.arange(200) // 10, **arguments), LIMITS)
    assert alone.regressions == together.regressions == 10
    assert alone.regressions > alone.explained
    assert together.regressions <= together.explained
    assert (alone.answer, together.answer) == ("yes", "unknown")


def test_no_question_shows_nothing() -> None:
    nothing = Outcomes(np.zeros(0))
    assert find_improvement(nothing, LIMITS).answer == find_harm(nothing, LIMITS).answer == "unknown"


def test_details_do_not_change_the_answer() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        outcomes = Outcomes(flips(random, 300, 0.02, 0.02))
        full, light = find_harm(outcomes, LIMITS), find_harm(outcomes, LIMITS, details=False)
        assert full.answer == light.answer
        assert full.lower_bound is not None
        assert (full.lower_bound > -LIMITS.margin) == full.held or full.answer == "yes"
