"""What holds an object, so that it may not be removed. Pure: manifests and alias changes come in as they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from burnish.registry.promotion import rests_on, versions_to_return_to
from burnish.schemas.adapter import Alias, AliasChange
from burnish.schemas.base import Parent

Kind = Literal["runlog", "review", "dataset", "benchmark", "adapter", "remote_model", "eval", "job", "clustering"]

# Which kinds of manifest can name a thing of each kind among their parents.
NAMED_BY: dict[Kind, tuple[Literal["dataset", "adapter", "remote_model", "eval"], ...]] = {
    "runlog": ("dataset",),
    "review": ("dataset",),
    "clustering": ("dataset",),
    "benchmark": ("dataset", "eval"),
    "dataset": ("adapter", "remote_model", "eval"),
    "adapter": ("adapter", "eval"),
    "remote_model": ("eval",),
    "job": ("adapter", "remote_model"),
    "eval": (),
}


@dataclass(frozen=True)
class Thing:
    """One object. version: of a run log, a review, an eval and a job it is the id again."""

    kind: Kind
    name: str
    version: str

    def __str__(self) -> str:
        label = self.name if self.name == self.version else f"{self.name}@{self.version}"
        return f"{'run log' if self.kind == 'runlog' else self.kind.replace('_', ' ')} {label}"


@dataclass(frozen=True)
class Lineage:
    """A stored thing and what it was made from."""

    thing: Thing
    parents: Sequence[Parent]


@dataclass(frozen=True)
class Holder:
    """what: `dataset fix@0123…`, `alias production of fix`; why: a few words."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} {self.why}"


def holders_of(
    thing: Thing, lineages: Iterable[Lineage], aliases: Iterable[tuple[Alias, Sequence[AliasChange]]] = ()
) -> list[Holder]:
    """Everything that rests on `thing`. aliases: each with its changes, oldest first; none if it was set by hand."""
    found = [
        Holder(str(lineage.thing), "rests on it" if lineage.thing.kind == "eval" else "was made from it")
        for lineage in lineages
        if lineage.thing != thing and any(_names(parent, thing) for parent in lineage.parents)
    ]
    for alias, changes in aliases:
        found += _held_by_alias(thing, alias, changes)
    return found


def _names(parent: Parent, thing: Thing) -> bool:
    """The corrections of a run log are pinned by a digest of their own, so a review is compared by name alone."""
    return (parent.kind, parent.name) == (thing.kind, thing.name) and (
        thing.kind == "review" or parent.digest == thing.version
    )


def _held_by_alias(thing: Thing, alias: Alias, changes: Sequence[AliasChange]) -> list[Holder]:
    """An alias holds the version that it names, the one that a rollback returns to, and the evals that these rest on."""
    stack = versions_to_return_to(changes) if changes else [alias.version] if alias.version else []
    held = dict(zip(reversed(stack), ("answers with it", "would roll back to it"), strict=False))
    what = f"alias {alias.alias} of {alias.name}"
    if thing.kind == "adapter":
        return [
            Holder(what, why) for version, why in held.items() if (thing.name, thing.version) == (alias.name, version)
        ]
    if thing.kind == "eval":
        promotions = [promotion for version in held if (promotion := rests_on(changes, version))]
        return [
            Holder(what, f"rests on it for {promotion.to_version}")
            for promotion in promotions
            if promotion.eval_id == thing.name
        ]
    return []
