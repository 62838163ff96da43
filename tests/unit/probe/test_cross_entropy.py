"""Paired cross-entropy: the arithmetic, what is refused, and that its interval covers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from burnish.errors import InvalidInputError
from burnish.probe import TextScore, compare_texts


def scores(*pairs: tuple[int, float]) -> list[TextScore]:
    return [TextScore(f"text-{number}", tokens, nats) for number, (tokens, nats) in enumerate(pairs)]


def test_means_are_weighted_by_tokens():
    found = compare_texts(scores((100, 300.0), (300, 600.0)), scores((100, 310.0), (300, 690.0)))
    assert (found.texts, found.tokens) == (2, 400)
    assert (found.base, found.candidate) == pytest.approx((2.25, 2.5))
    assert found.delta == pytest.approx(0.25)


def test_the_interval_is_that_of_the_paired_t_test_where_texts_are_equally_long():
    from scipy.stats import ttest_1samp

    base, candidate = [200.0, 220.0, 250.0, 190.0], [205.0, 232.0, 251.0, 199.0]
    found = compare_texts(scores(*((100, nats) for nats in base)), scores(*((100, nats) for nats in candidate)))
    expected = ttest_1samp((np.array(candidate) - base) / 100, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_text_has_no_interval_and_equal_models_a_point():
    alone = compare_texts(scores((10, 30.0)), scores((10, 31.0)))
    assert (alone.delta, alone.low, alone.high) == (pytest.approx(0.1), None, None)
    same = compare_texts(scores((10, 30.0), (20, 50.0)), scores((10, 30.0), (20, 50.0)))
    assert (same.delta, same.low, same.high) == (0.0, 0.0, 0.0)


def test_the_interval_covers_over_texts_of_different_length():
    random, covered, rounds, truth = np.random.default_rng(0), 0, 2000, 0.08
    for _ in range(rounds):
        tokens = random.integers(90, 210, 24)
        rises = truth + random.normal(0, 0.05, 24) + random.normal(0, 0.5, 24) / np.sqrt(tokens)
        base = tokens * 3.0
        ours = [TextScore(str(i), int(t), float(b)) for i, (t, b) in enumerate(zip(tokens, base, strict=True))]
        theirs = [
            TextScore(str(i), int(t), float(b + t * r))
            for i, (t, b, r) in enumerate(zip(tokens, base, rises, strict=True))
        ]
        found = compare_texts(ours, theirs)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / rounds <= 0.975


@pytest.mark.parametrize(
    ("base", "candidate", "says"),
    [
        ([], [], "at least one"),
        (scores((10, 1.0)), [TextScore("other", 10, 1.0)], "same texts"),
        (scores((10, 1.0)), scores((11, 1.0)), "different tokenizers"),
        (scores((10, 1.0)), scores((10, math.inf)), "no finite"),
        (scores((0, 0.0)), scores((0, 0.0)), "no finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(base, candidate, says):
    with pytest.raises(InvalidInputError, match=says):
        compare_texts(base, candidate)
