"""Krippendorff's alpha against the examples of his paper."""

from __future__ import annotations

import pytest

from burnish.statistics.agreement import krippendorff_alpha

# Krippendorff (2011), sections A (two observers, binary), B (two observers, nominal) and C (four observers, gaps).
BINARY = ["0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"]
NOMINAL = ["a a b b d c c c e d d a", "b a b b b c c c e d d d"]
GAPS = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]


def units(observers: list[str]) -> list[list[str]]:
    return [[value for value in unit if value != "."] for unit in zip(*(row.split() for row in observers), strict=True)]


@pytest.mark.parametrize(("observers", "alpha"), [(BINARY, 0.095), (NOMINAL, 0.692), (GAPS, 0.743)])
def test_the_examples_of_the_paper(observers: list[str], alpha: float) -> None:
    assert krippendorff_alpha(units(observers)) == pytest.approx(alpha, abs=0.0005)


def test_edges() -> None:
    assert krippendorff_alpha([["a", "a"], ["b", "b"]]) == 1
    assert krippendorff_alpha([["a", "b"], ["b", "a"]]) == pytest.approx(-0.5)
    for nothing in ([], [["a"]], [["a", "a"], ["a", "a"]]):
        assert krippendorff_alpha(nothing) is None
