"""What regressions share: counted against the questions that held, exact, and silent where chance would do."""

from __future__ import annotations

import pytest
from scipy.stats import fisher_exact

from burnish.reporting.patterns import Trait, regression_traits
from burnish.reporting.sentences import pattern_sentence
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.evaluation import EvalRow
from burnish.testing import eval_side
from burnish.verdict import pair


def traits(
    outcomes: dict[str, list[str]], questions: dict[str, BenchmarkQuestion] | None = None
) -> tuple[list[Trait], int]:
    """outcomes: slice -> the candidate's results on questions that the base always passes."""
    base: list[EvalRow] = []
    candidate: list[EvalRow] = []
    for slice, results in outcomes.items():
        base += eval_side(["P"] * len(results), prefix=slice, slice=slice)
        candidate += eval_side(results, prefix=slice, slice=slice)
    pairs = pair(base, candidate).pairs
    lost = [p.question_id for p in pairs if p.is_regression]
    return regression_traits(pairs, lost, questions or {}, candidate), len(lost)


def test_a_slice_that_holds_most_regressions_is_named_with_odds_and_exact_p() -> None:
    found, lost = traits({"a": ["F"] * 7 + ["P"] * 23, "b": ["F"] * 2 + ["P"] * 98})
    best = found[0]
    assert (best.name, best.shared, best.lost, best.elsewhere, best.others) == ("slice a", 7, 9, 23, 121)
    assert best.odds_ratio == pytest.approx(7 * 98 / (2 * 23))
    exact = fisher_exact([[7, 2], [23, 98]], alternative="greater").pvalue
    rarer = next(trait for trait in found if trait.name == "slice b")
    assert rarer.odds_ratio < 1
    assert rarer.p_value > 0.99, "rarer among the regressions is no pattern"
    assert best.p_value == pytest.approx(exact * len(found))
    assert best.is_pattern
    assert pattern_sentence(found, lost).startswith("Pattern: “slice a”, 7 of 9 regressions against 23 of 121 other")
    assert "odds ratio 14.9, exact one-sided p = 0.0" in pattern_sentence(
        found, lost
    ) or "p < 0.0001" in pattern_sentence(found, lost)


def test_regressions_all_over_the_place_are_no_pattern() -> None:
    found, lost = traits({"a": ["F", "F", "P"] * 10, "b": ["F", "F", "P"] * 10})
    assert not any(trait.is_pattern for trait in found)
    assert pattern_sentence(found, lost).startswith("No pattern beyond chance.")


def test_one_regression_is_no_pattern() -> None:
    found, lost = traits({"a": ["F"], "b": ["P"] * 50})
    assert found == []
    assert pattern_sentence(found, lost) == "No pattern: one regression with no trait in common."


def test_an_empty_cell_has_finite_odds() -> None:
    found, _ = traits({"a": ["F"] * 5, "b": ["P"] * 50})
    assert found[0].odds_ratio == pytest.approx(5.5 * 50.5 / (0.5 * 0.5))


def test_length_and_form_are_traits() -> None:
    questions = {
        f"a{i:04d}": BenchmarkQuestion(
            question_id=f"a{i:04d}",
            prompt="x" * (1000 if i < 8 else 10 + i),
            expected_answer='{"a": 1}' if i < 6 else "42" if i < 20 else "yes" if i < 30 else "two words",
            grader=GraderSpec(name="exact"),
        )
        for i in range(40)
    }
    found, lost = traits({"a": ["F"] * 6 + ["P"] * 34}, questions)
    names = {trait.name for trait in found if trait.is_pattern}
    assert names == {
        "prompt of 47 characters or more",
        "expected answer is JSON",
        "expected answer of 8 characters or more",
    }
    assert lost == 6
