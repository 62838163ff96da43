"""Whether a version may be promoted, and where a rollback leads: the rules as tables."""

from __future__ import annotations

from typing import Any

import pytest
from unit.registry.made import DATASET, adapter, evaluation, history, version

from burnish.errors import UnprovenError
from burnish.registry.promotion import find_evidence, rests_on, rollback_target, versions_to_return_to
from burnish.schemas.base import Parent


@pytest.mark.parametrize(
    ("evals", "by"),
    [
        ([evaluation("ship")], "eval1"),
        ([evaluation("inconclusive", number=1), evaluation("ship", number=2)], "eval2"),
        ([evaluation("ship", number=1), evaluation("ship", number=2)], "eval2"),
        ([evaluation("stop", "b", number=2), evaluation("ship")], "eval1"),  # another version's
        ([evaluation("ship"), evaluation("inconclusive", number=2, benchmark="other/1")], "eval1"),
        (
            [evaluation("stop", number=1), evaluation("ship", number=2, benchmark="all/2")],
            "eval2",
        ),  # a better benchmark
    ],
)
def test_a_ship_verdict_of_this_version_allows_its_promotion(evals: list[Any], by: str) -> None:
    assert find_evidence(adapter(), evals).id == by


@pytest.mark.parametrize(
    ("evals", "words"),
    [
        ([], "no stored evaluation of fix@aaaaaaaaaaaaaaaa"),
        ([evaluation("ship", "b")], "no stored evaluation"),
        ([evaluation("investigate")], "eval eval1 .* says investigate"),
        ([evaluation("stop")], "says stop"),
        ([evaluation("data-quality")], "no evaluation .* says ship .*data-quality"),
        ([evaluation("inconclusive")], "no evaluation .* says ship"),
        # Asking again until it ships is no proof, and neither is a second benchmark that does not look where it broke.
        ([evaluation("ship", number=1), evaluation("stop", number=2)], "eval eval2 .* says stop"),
        ([evaluation("ship", number=1), evaluation("inconclusive", number=2)], "no evaluation .* says ship"),
        ([evaluation("investigate", benchmark="other/1"), evaluation("ship", number=2)], "on other/1 says investigate"),
        # The label alone is not enough: lineage, base and dataset must be this version's.
        ([evaluation("ship", parents=[])], "no stored evaluation"),
        ([evaluation("ship", candidate_model="else")], "no stored evaluation"),
    ],
)
def test_anything_else_does_not(evals: list[Any], words: str) -> None:
    with pytest.raises(UnprovenError, match=words):
        find_evidence(adapter(), evals)


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("adapter", Parent(kind="adapter", name="fix", digest=version("b"))),
        ("adapter", Parent(kind="adapter", name="other", digest=version("a"))),
        ("base_model", Parent(kind="base_model", name="tiny", digest="sha256:1")),
        ("dataset", Parent(kind="dataset", name=DATASET.name, digest=version("e"))),
    ],
)
def test_an_eval_whose_lineage_is_of_something_else_is_no_proof(kind: str, other: Parent) -> None:
    own = evaluation("ship")
    forged = own.model_copy(update={"parents": [p for p in own.parents if p.kind != kind] + [other]})
    assert find_evidence(adapter(), [own]) == own
    with pytest.raises(UnprovenError, match="no stored evaluation"):
        find_evidence(adapter(), [forged])


@pytest.mark.parametrize(
    ("steps", "start", "stack"),
    [
        ([], None, ""),
        (["+a"], None, "a"),
        (["+a", "+b", "+c"], None, "abc"),
        (["+a", "+b", "-a"], None, "a"),
        (["+a", "+b", "-a", "+c"], None, "ac"),
        (["+a", "+b", "+c", "-a"], None, "a"),  # b was removed
        (["+a", "-"], None, ""),
        (["+a", "-", "+b"], None, "b"),
        (["+a", "+b", "x"], None, ""),
        (["+a", "x", "+b"], None, "b"),
        (["+a", "+b", "+a"], None, "aba"),
        (["+b"], "a", "ab"),  # a was set by hand
    ],
)
def test_what_an_alias_can_return_to(steps: list[str], start: str | None, stack: str) -> None:
    assert versions_to_return_to(history(*steps, start=start)) == [version(letter) for letter in stack]


@pytest.mark.parametrize(
    ("stack", "gone", "target"),
    [("a", "", None), ("ab", "", "a"), ("abc", "", "b"), ("abc", "b", "a"), ("abc", "ab", None), ("aba", "", "b")],
)
def test_a_rollback_leads_to_the_nearest_earlier_version_that_exists(stack: str, gone: str, target: str | None) -> None:
    removed = {version(letter) for letter in gone}
    found = rollback_target([version(letter) for letter in stack], lambda each: each not in removed)
    assert found == (version(target) if target else None)


def test_a_version_rests_on_its_newest_promotion() -> None:
    changes = history("+a", "+b", "-a", "+b")
    assert rests_on(changes, version("b")) == changes[3]
    assert rests_on(changes, version("a")) == changes[0]
    assert rests_on(changes, version("c")) is None
