"""Removing objects that nothing rests on. Everything blocks.

The manifest goes first, and with it the thing; holders are looked for once more, and if there is one now the manifest is
put back. Then the files go. A death in between leaves files without a manifest, which the same call removes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import orjson
from pydantic import TypeAdapter, ValidationError

from burnish import layout
from burnish.errors import AlreadyExistsError, CorruptDataError, HeldError, NotFoundError, validation_problems
from burnish.objectstores.manifests import read_listing
from burnish.ports import ObjectStore
from burnish.registry.aliases import AliasRegistry
from burnish.registry.holding import NAMED_BY, Holder, Kind, Lineage, Thing, holders_of
from burnish.registry.manifests import manifest_keys, read_object
from burnish.schemas.base import BrokenObject, Listing, Parent

SHOWN_HOLDERS = 5
FOLDERS: dict[Kind, str] = {
    "dataset": "datasets/",
    "adapter": "adapters/",
    "remote_model": "remote-models/",
    "eval": "evals/",
}
MANIFEST_KEYS: dict[Kind, Callable[..., str]] = {
    "runlog": layout.runlog,
    "clustering": layout.clustering,
    "dataset": layout.dataset,
    "benchmark": layout.benchmark,
    "adapter": layout.adapter,
    "remote_model": layout.remote_model,
    "eval": layout.evaluation,
}
REFERENCES = "references/"
_PARENTS = TypeAdapter(list[Parent])


def find_holders(store: ObjectStore, things: Sequence[Thing]) -> list[list[Holder]]:
    """Of each thing, what holds it. Reads every manifest that may name one of them, each once.

    An object that cannot be read holds every other thing that it may name: what it rests on is not known.
    """
    kinds = {kind for thing in things for kind in NAMED_BY[thing.kind]}
    keys = [key for kind in sorted(kinds) for key in manifest_keys(store, FOLDERS[kind])]
    lineages = read_listing(lambda key: _lineage(store, key), keys)
    is_named_by_aliases = any(thing.kind in ("adapter", "eval") for thing in things)
    aliases = AliasRegistry(store).with_histories() if is_named_by_aliases else Listing()
    return [
        holders_of(thing, lineages, aliases)
        + _held_by_broken(thing, lineages.broken)
        + _held_by_broken(thing, aliases.broken)
        for thing in things
    ]


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
    """Remove a thing that has a manifest, and return how many bytes its files had. A dataset takes along what is cached for it alone.

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
    if thing.kind == "dataset":
        remove_references(store, thing)
    for file in files:
        store.delete(file.key)
    return sum(file.size_bytes for file in files)


def remove_references(store: ObjectStore, dataset: Thing) -> None:
    """Remove the log-probabilities of reference models that were computed for a dataset: a cache, which any run may compute again.

    One that cannot be read stays: it says not what it belongs to.
    """
    for info in list(store.list(REFERENCES)):
        if not info.key.endswith(f"/{layout.MANIFEST}"):
            continue
        try:
            parents = _PARENTS.validate_python(orjson.loads(store.get(info.key)).get("parents", []))
        except (NotFoundError, orjson.JSONDecodeError, AttributeError, ValidationError):
            continue
        if any(_is_of(parent, dataset) for parent in parents):
            for file in list(store.list(info.key.removesuffix(layout.MANIFEST))):
                if file.key != info.key:
                    store.delete(file.key)
            store.delete(info.key)  # last, so that the same call ends a removal that was interrupted


def _is_of(parent: Parent, dataset: Thing) -> bool:
    return (parent.kind, parent.name, parent.digest) == ("dataset", dataset.name, dataset.version)


def _manifest_key(thing: Thing) -> str:
    """Of the kinds that have one."""
    names = [thing.name] if thing.kind in ("runlog", "eval") else [thing.name, thing.version]
    return MANIFEST_KEYS[thing.kind](*names)


def _lineage(store: ObjectStore, key: str) -> Lineage:
    kind = next(kind for kind, folder in FOLDERS.items() if key.startswith(folder))
    _, name, *version, _ = key.split("/")
    try:
        parents = _PARENTS.validate_python(read_object(store, key).get("parents", []))
    except ValidationError as error:
        raise CorruptDataError(f"{key}: what it rests on cannot be read: {validation_problems(error)}") from error
    return Lineage(Thing(kind, name, version[0] if version else name), parents)


def _held_by_broken(thing: Thing, broken: Sequence[BrokenObject]) -> list[Holder]:
    """Every object that cannot be read, except the thing's own manifest."""
    own = _manifest_key(thing) if thing.kind in MANIFEST_KEYS else None
    return [Holder(each.key, "cannot be read and may rest on it") for each in broken if each.key != own]
