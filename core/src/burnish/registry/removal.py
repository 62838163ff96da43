"""Removing objects that nothing rests on. Everything blocks.

The manifest goes first, and with it the thing; holders are looked for once more, and if there is one now the manifest is
put back. Then the files go. A death in between leaves files without a manifest, which the same call removes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from burnish import layout
from burnish.errors import AlreadyExistsError, CorruptDataError, HeldError, NotFoundError, validation_problems
from burnish.ports import ObjectStore
from burnish.registry.aliases import AliasRegistry
from burnish.registry.holding import NAMED_BY, Holder, Lineage, Thing, holders_of
from burnish.registry.manifests import read_documents
from burnish.schemas.base import Parent

SHOWN_HOLDERS = 5
FOLDERS = {"dataset": "datasets/", "adapter": "adapters/", "eval": "evals/"}
_PARENTS = TypeAdapter(list[Parent])


def find_holders(store: ObjectStore, things: Sequence[Thing]) -> list[list[Holder]]:
    """Of each thing, what holds it. Reads every manifest that may name one of them, each once.

    Raises CorruptDataError for a manifest that cannot be read: what it holds is not known.
    """
    kinds = {kind for thing in things for kind in NAMED_BY[thing.kind]}
    lineages = [lineage for kind in sorted(kinds) for lineage in _lineages(store, kind)]
    is_named_by_aliases = any(thing.kind in ("adapter", "eval") for thing in things)
    aliases = AliasRegistry(store).with_histories() if is_named_by_aliases else []
    return [holders_of(thing, lineages, aliases) for thing in things]


def check_free(store: ObjectStore, thing: Thing) -> None:
    """HeldError, which names the holders, if anything rests on it."""
    (found,) = find_holders(store, [thing])
    if found:
        more = f", and {len(found) - SHOWN_HOLDERS} more" if len(found) > SHOWN_HOLDERS else ""
        named = "; ".join(str(holder) for holder in found[:SHOWN_HOLDERS])
        raise HeldError(
            f"{thing} is held: {named}{more}. Remove these first",
            holders=", ".join(holder.what for holder in found),
        )


def remove(store: ObjectStore, thing: Thing) -> int:
    """Remove a thing that has a manifest, and return how many bytes its files had.

    Raises NotFoundError if nothing is left of it, HeldError if anything rests on it.
    """
    key = _manifest_key(thing)
    folder = key.removesuffix(layout.MANIFEST)
    files = list(store.list(folder))
    if not files:
        raise NotFoundError(f"there is no {thing}")
    check_free(store, thing)
    if any(file.key == key for file in files):
        manifest = store.get(key)
        store.delete(key)
        try:
            check_free(store, thing)
        except HeldError:
            with suppress(AlreadyExistsError):
                store.put_if_absent(key, manifest)
            raise
    for file in files:
        store.delete(file.key)
    return sum(file.size_bytes for file in files)


def _manifest_key(thing: Thing) -> str:
    """Of the kinds that have one."""
    if thing.kind == "runlog":
        return layout.runlog(thing.name)
    if thing.kind == "eval":
        return layout.evaluation(thing.name)
    keys = {"dataset": layout.dataset, "benchmark": layout.benchmark, "adapter": layout.adapter}
    return keys[thing.kind](thing.name, thing.version)


def _lineages(store: ObjectStore, kind: Literal["dataset", "adapter", "eval"]) -> Iterator[Lineage]:
    for key, document in read_documents(store, FOLDERS[kind]):
        _, name, *version, _ = key.split("/")
        try:
            parents = _PARENTS.validate_python(document.get("parents", []))
        except ValidationError as error:
            raise CorruptDataError(f"{key}: what it rests on cannot be read: {validation_problems(error)}") from error
        yield Lineage(Thing(kind, name, version[0] if version else name), parents)
