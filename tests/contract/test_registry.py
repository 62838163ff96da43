"""Aliases and removals over every object store: conditional writes, races, and what a death at each step leaves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import orjson
import pytest
from unit.registry.made import adapter, evaluation, version

from burnish import layout
from burnish.digests import sha256_hex
from burnish.errors import (
    ConflictError,
    CorruptDataError,
    HeldError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
    UnprovenError,
)
from burnish.ports import ObjectStore
from burnish.registry.aliases import VERDICT_FILE, AliasRegistry
from burnish.registry.holding import Thing
from burnish.registry.removal import find_holders, remove
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import FileEntry, Parent
from burnish.schemas.evaluation import EvalManifest

BY = "ada@laptop"


@pytest.fixture(params=["memory_store", "s3_store"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return request.getfixturevalue(request.param)


@pytest.fixture
def registry(store: ObjectStore) -> AliasRegistry:
    return AliasRegistry(store)


def put_adapter(store: ObjectStore, letter: str, **changes: Any) -> AdapterManifest:
    made = adapter(letter, **changes)
    store.put(layout.adapter(made.name, made.version, "adapter_model.safetensors"), b"weights")
    store.put(layout.adapter(made.name, made.version), made.model_dump_json().encode())
    return made


def put_eval(store: ObjectStore, letter: str, verdict: str = "ship", in_file: str | None = None) -> EvalManifest:
    data = orjson.dumps({"verdict": in_file or verdict})
    entry = FileEntry(path=VERDICT_FILE, size_bytes=len(data), sha256=sha256_hex(data))
    made = evaluation(verdict, letter, id=f"eval-{letter}", files=[entry])  # type: ignore[arg-type]
    store.put(layout.evaluation(made.id, VERDICT_FILE), data)
    store.put(layout.evaluation(made.id), made.model_dump_json().encode())
    return made


def test_promote_and_roll_back_keep_every_change(store: ObjectStore, registry: AliasRegistry) -> None:
    first, second = put_adapter(store, "a"), put_adapter(store, "b")
    put_eval(store, "a")
    put_eval(store, "b", "stop")
    assert registry.promote(first, by=BY).version == first.version
    promoted = registry.promote(second, by=BY, override=" a customer waits ")
    assert promoted.change is not None
    assert (promoted.change.override, promoted.change.eval_id, promoted.change.verdict) == (
        "a customer waits",
        None,
        None,
    )
    assert registry.promote(second, by=BY, override="again") == promoted  # no change
    rolled = registry.rollback("fix", by="bob", reason="it swears")
    assert rolled.version == first.version
    assert registry.rollback("fix", by=BY).version is None
    found = [
        (change.number, change.action, change.from_version, change.to_version, change.by, change.eval_id)
        for change in registry.history("fix")
    ]
    assert found == [
        (1, "promote", None, version("a"), BY, "eval-a"),
        (2, "promote", version("a"), version("b"), BY, None),
        (3, "rollback", version("b"), version("a"), "bob", "eval-a"),
        (4, "rollback", version("a"), None, BY, None),
    ]
    assert registry.history("fix")[2].reason == "it swears"
    with pytest.raises(PreconditionError, match="names no version"):
        registry.rollback("fix", by=BY)
    assert [info.key for info in store.list("alias-changes/")] == [
        layout.alias_change("fix", "production", number) for number in (1, 2, 3, 4)
    ]


def test_aliases_are_apart_from_one_another(store: ObjectStore, registry: AliasRegistry) -> None:
    first, second = put_adapter(store, "a"), put_adapter(store, "b")
    registry.promote(first, by=BY, override="first")
    registry.promote(second, by=BY, alias="staging", override="try it")
    assert [(alias.name, alias.alias, alias.version) for alias in registry.all()] == [
        ("fix", "production", first.version),
        ("fix", "staging", second.version),
    ]
    registry.remove("fix", by=BY, alias="staging")
    assert [alias.version for alias in registry.all()] == [first.version, None]
    with pytest.raises(PreconditionError, match="names no version"):
        registry.remove("fix", by=BY, alias="staging")


@pytest.mark.parametrize(("verdict", "in_file"), [("investigate", None), ("ship", "stop")])
def test_only_a_ship_verdict_that_its_file_confirms_promotes(
    store: ObjectStore, registry: AliasRegistry, verdict: str, in_file: str | None
) -> None:
    put_eval(store, "a", verdict, in_file)
    with pytest.raises(UnprovenError):
        registry.promote(put_adapter(store, "a"), by=BY)
    assert list(store.list(layout.ALIASES)) == []


def test_a_verdict_file_that_was_changed_is_no_evidence(store: ObjectStore, registry: AliasRegistry) -> None:
    made, evidence = put_adapter(store, "a"), put_eval(store, "a")
    store.put(layout.evaluation(evidence.id, VERDICT_FILE), b'{"verdict":"ship" }')
    with pytest.raises(CorruptDataError, match=VERDICT_FILE):
        registry.promote(made, by=BY)


@pytest.mark.parametrize("override", ["", "  ", "x" * 501])
def test_an_override_needs_a_reason(store: ObjectStore, registry: AliasRegistry, override: str) -> None:
    with pytest.raises(InvalidInputError, match="override"):
        registry.promote(put_adapter(store, "a"), by=BY, override=override)


def test_of_many_at_once_one_wins_and_the_history_has_no_gap(store: ObjectStore, registry: AliasRegistry) -> None:
    made = [put_adapter(store, letter) for letter in "abcdef"]

    def promote(one: AdapterManifest) -> bool:
        try:
            registry.promote(one, by=BY, override="race")
        except ConflictError:
            return False
        return True

    for _ in range(3):
        with ThreadPoolExecutor(len(made)) as pool:
            won = list(pool.map(promote, made))
        assert any(won)
        changes = registry.history("fix")
        assert [change.number for change in changes] == list(range(1, len(changes) + 1))
        for before, after in pairwise(changes):
            assert after.from_version == before.to_version


def test_a_death_after_the_alias_leaves_a_history_that_the_next_change_completes(
    store: ObjectStore, registry: AliasRegistry
) -> None:
    registry.promote(put_adapter(store, "a"), by=BY, override="one")
    store.delete(layout.alias_change("fix", "production", 1))  # as if the process had died before it was written
    assert [change.override for change in registry.history("fix")] == ["one"]
    registry.promote(put_adapter(store, "b"), by=BY, override="two")
    assert [change.override for change in registry.history("fix")] == ["one", "two"]
    store.delete(layout.alias_change("fix", "production", 1))
    with pytest.raises(CorruptDataError, match="00000001"):
        registry.history("fix")


def test_an_alias_that_was_written_by_hand_is_read_and_returned_to(store: ObjectStore, registry: AliasRegistry) -> None:
    put_adapter(store, "a")
    store.put(layout.alias("fix"), orjson.dumps({"name": "fix", "version": version("a")}))
    registry.promote(put_adapter(store, "b"), by=BY, override="two")
    assert registry.rollback("fix", by=BY).version == version("a")


def test_a_version_that_is_removed_while_it_is_promoted_does_not_answer(
    store: ObjectStore, registry: AliasRegistry
) -> None:
    made = put_adapter(store, "a")
    store.delete(layout.adapter(made.name, made.version))
    with pytest.raises(ConflictError, match="removed at the same time"):
        registry.promote(made, by=BY, override="late")
    assert registry.all()[0].version is None


def test_what_is_held_is_not_removed_and_the_holder_is_named(store: ObjectStore, registry: AliasRegistry) -> None:
    first, second, third = (put_adapter(store, letter) for letter in "abc")
    parents = [Parent(kind="adapter", name="fix", digest=second.version)]
    child = put_adapter(store, "d", parents=parents)
    evidence = put_eval(store, "c")
    registry.promote(first, by=BY, override="one")
    things = [Thing("adapter", "fix", one.version) for one in (first, second, third, child)]
    assert [[holder.what for holder in holders] for holders in find_holders(store, things)] == [
        ["alias production of fix"],
        [f"adapter fix@{child.version}"],
        [f"eval {evidence.id}"],
        [],
    ]
    for thing, holder in zip(things, ("alias production", "adapter fix@d", "eval eval-c"), strict=False):
        with pytest.raises(HeldError, match=holder):
            remove(store, thing)
        assert store.get(layout.adapter("fix", thing.version))
    assert remove(store, things[3]) > 0
    assert list(store.list(f"adapters/fix/{child.version}/")) == []
    remove(store, things[1])
    remove(store, Thing("eval", evidence.id, evidence.id))
    remove(store, things[2])
    with pytest.raises(NotFoundError, match="no adapter fix@cccc"):
        remove(store, things[2])


def test_a_removal_that_died_halfway_is_ended_by_the_same_call(store: ObjectStore) -> None:
    made = put_adapter(store, "a")
    store.delete(layout.adapter("fix", made.version))
    remove(store, Thing("adapter", "fix", made.version))
    assert list(store.list("adapters/")) == []


def test_a_holder_that_comes_while_a_thing_is_removed_keeps_it(store: ObjectStore, monkeypatch: Any) -> None:
    made = put_adapter(store, "a")
    delete = store.delete

    def promoted_meanwhile(key: str) -> None:
        delete(key)
        if key == layout.adapter("fix", made.version):
            store.put(layout.alias("fix"), orjson.dumps({"name": "fix", "version": version("a")}))

    monkeypatch.setattr(store, "delete", promoted_meanwhile)
    with pytest.raises(HeldError, match="alias production of fix answers with it"):
        remove(store, Thing("adapter", "fix", made.version))
    assert AdapterManifest.model_validate_json(store.get(layout.adapter("fix", made.version))) == made


def test_a_manifest_that_cannot_be_read_may_hold_anything(store: ObjectStore) -> None:
    put_adapter(store, "a")
    store.put(layout.adapter("other", version("b")), b"{torn")
    with pytest.raises(HeldError, match=r"adapters/other.* cannot be read"):
        remove(store, Thing("adapter", "fix", version("a")))


def test_a_broken_manifest_does_not_hold_its_own_thing(store: ObjectStore) -> None:
    store.put(layout.adapter("other", version("b")), b"{torn")
    remove(store, Thing("adapter", "other", version("b")))
    assert list(store.list("adapters/")) == []


@pytest.mark.parametrize(
    "broken", [b"{torn", b"[]", b'{"name": "fix", "version": 7}', b'{"name": "else", "version": null}']
)
def test_a_broken_alias_is_one_broken_entry_and_may_hold_anything(
    store: ObjectStore, registry: AliasRegistry, broken: bytes
) -> None:
    made = put_adapter(store, "a")
    store.put(layout.alias("fix"), orjson.dumps({"name": "fix", "version": None}))
    store.put(layout.alias("fix", "torn"), broken)
    assert [alias.alias for alias in registry.all()] == ["production"]
    assert [each.key for each in registry.all().broken] == [layout.alias("fix", "torn")]
    with pytest.raises(HeldError, match=r"fix@torn\.json cannot be read"):
        remove(store, Thing("adapter", "fix", made.version))
