"""What holds an object: the rule as a table."""

from __future__ import annotations

import pytest
from unit.registry.made import history, version

from burnish.registry.holding import Lineage, Thing, holders_of
from burnish.schemas.adapter import Alias
from burnish.schemas.base import Parent

RUN_LOG, REVIEW = Thing("runlog", "log1", "log1"), Thing("review", "log1", "log1")
BENCHMARK = Thing("benchmark", "all", "1" * 16)
DATASET = Thing("dataset", "fix", "d" * 16)
ADAPTER, CHILD = Thing("adapter", "fix", version("a")), Thing("adapter", "fix", version("b"))
EVAL = Thing("eval", "eval-a", "eval-a")
JOB = Thing("job", "job-1", "job-1")


def parent(thing: Thing, digest: str | None = None) -> Parent:
    return Parent.model_validate({"kind": thing.kind, "name": thing.name, "digest": digest or thing.version})


LINEAGES = [
    Lineage(DATASET, [parent(RUN_LOG), parent(REVIEW, "digest of corrections"), parent(BENCHMARK)]),
    Lineage(ADAPTER, [parent(DATASET), parent(JOB)]),
    Lineage(CHILD, [parent(ADAPTER)]),
    Lineage(EVAL, [parent(BENCHMARK), parent(DATASET), parent(ADAPTER)]),
]


@pytest.mark.parametrize(
    ("thing", "held_by"),
    [
        (RUN_LOG, ["dataset fix@dddddddddddddddd was made from it"]),
        (REVIEW, ["dataset fix@dddddddddddddddd was made from it"]),
        (BENCHMARK, ["dataset fix@dddddddddddddddd was made from it", "eval eval-a rests on it"]),
        (DATASET, ["adapter fix@aaaaaaaaaaaaaaaa was made from it", "eval eval-a rests on it"]),
        (ADAPTER, ["adapter fix@bbbbbbbbbbbbbbbb was made from it", "eval eval-a rests on it"]),
        (JOB, ["adapter fix@aaaaaaaaaaaaaaaa was made from it"]),
        (CHILD, []),
        (EVAL, []),
        (Thing("adapter", "fix", version("c")), []),
        (Thing("adapter", "other", version("a")), []),
        (Thing("benchmark", "all", "2" * 16), []),
        (Thing("dataset", "log1", "log1"), []),
    ],
)
def test_what_was_made_from_a_thing_or_measured_with_it_holds_it(thing: Thing, held_by: list[str]) -> None:
    assert [str(holder) for holder in holders_of(thing, LINEAGES)] == held_by


@pytest.mark.parametrize(
    ("steps", "letter", "why"),
    [
        (["+a"], "a", "answers with it"),
        (["+a", "+b"], "b", "answers with it"),
        (["+a", "+b"], "a", "would roll back to it"),
        (["+a", "+b", "+c"], "a", None),
        (["+a", "+b", "-a"], "b", None),
        (["+a", "-"], "a", None),
        (["+a", "+b", "x"], "a", None),
        (["+a", "+b", "x"], "b", None),
    ],
)
def test_an_alias_holds_its_version_the_one_before_and_their_evals(
    steps: list[str], letter: str, why: str | None
) -> None:
    changes = history(*steps, alias="staging")
    alias = Alias(name="fix", alias="staging", version=changes[-1].to_version, change=changes[-1])
    other = Alias(name="other", version=None)
    found = holders_of(Thing("adapter", "fix", version(letter)), [], [(other, []), (alias, changes)])
    assert [str(holder) for holder in found] == ([f"alias staging of fix {why}"] if why else [])
    of_eval = holders_of(Thing("eval", f"eval-{letter}", f"eval-{letter}"), [], [(alias, changes)])
    rests = [f"alias staging of fix rests on it for {version(letter)}"]
    assert [str(holder) for holder in of_eval] == (rests if why else [])
    assert holders_of(Thing("adapter", "other", version(letter)), [], [(alias, changes)]) == []


def test_an_alias_that_was_set_by_hand_holds_its_version() -> None:
    by_hand = Alias(name="fix", version=version("a"))
    assert [holder.why for holder in holders_of(ADAPTER, [], [(by_hand, [])])] == ["answers with it"]
