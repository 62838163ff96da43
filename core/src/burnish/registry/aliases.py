"""Aliases in the object store: read, changed with If-Match, and their history, which is only added to.

Everything blocks. The alias carries its newest change, and a change is copied to the history before another may replace
it: a death in between loses nothing (docs/adr/0013-promotion.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from burnish import layout
from burnish.errors import (
    AlreadyExistsError,
    ConflictError,
    CorruptDataError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
    UnprovenError,
)
from burnish.layout import PRODUCTION
from burnish.objectstores.manifests import read_document, read_listing
from burnish.objectstores.verified import get_verified
from burnish.ports import ObjectStore
from burnish.registry.manifests import read_evals
from burnish.registry.promotion import find_evidence, rests_on, rollback_target, versions_to_return_to
from burnish.registry.references import check_alias
from burnish.schemas.adapter import AdapterManifest, Alias, AliasChange
from burnish.schemas.base import Listing
from burnish.schemas.evaluation import EvalManifest

VERDICT_FILE = "verdict.json"
LONGEST_TEXT = 500


@dataclass(frozen=True)
class StoredAlias:
    """An alias as it was read. etag: of the object, for If-Match; None if there is none yet."""

    alias: Alias
    etag: str | None


class AliasRegistry:
    """Every change is one conditional write. Of several at once, one wins; the others get ConflictError and decide again."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def all(self) -> Listing[Alias]:
        """Every alias, by name; also those that name no version any more, and the broken ones apart."""
        return read_listing(lambda key: read_alias(self._store, key), self._keys())

    def history(self, name: str, alias: str = PRODUCTION) -> list[AliasChange]:
        """Oldest first; empty if it was never set, or only by hand."""
        return self._history(self._read(name, alias))

    def with_histories(self) -> Listing[tuple[Alias, list[AliasChange]]]:
        """Every alias with its changes, oldest first; one whose history cannot be read is broken too."""

        def read(key: str) -> tuple[Alias, list[AliasChange]]:
            alias = read_alias(self._store, key)
            return alias, self._history(StoredAlias(alias, None))

        return read_listing(read, self._keys())

    def check(self, adapter: AdapterManifest, override: str | None = None) -> EvalManifest | None:
        """The stored eval that allows this version's promotion; None if an override stands in for it.

        Raises UnprovenError if there is neither, InvalidInputError for an override without a reason.
        """
        if _text(override, "override") is not None:
            return None
        evidence = find_evidence(adapter, read_evals(self._store, f"{adapter.name}@{adapter.version}"))
        self._check_verdict(evidence)
        return evidence

    def promote(
        self,
        adapter: AdapterManifest,
        *,
        by: str,
        alias: str = PRODUCTION,
        override: str | None = None,
    ) -> Alias:
        """Let the alias name this version. The version that it names already is no change.

        Raises what `check` does, and ConflictError if somebody else changed the alias meanwhile or the version was removed.
        """
        before = self._read(adapter.name, check_alias(alias))
        if before.alias.version == adapter.version:
            return before.alias
        evidence = self.check(adapter, override)
        change = self._change(before, "promote", adapter.version, by).model_copy(
            update={
                "eval_id": evidence.id if evidence else None,
                "verdict": evidence.verdict if evidence else None,
                "override": _text(override, "override"),
            }
        )
        after = self._write(before, change)
        if not self._exists(adapter.name, adapter.version):
            self.rollback(adapter.name, by=by, alias=alias, reason="the version was removed at the same time")
            raise ConflictError(f"{adapter.name}@{adapter.version} was removed at the same time: promote another")
        return after

    def rollback(self, name: str, *, by: str, alias: str = PRODUCTION, reason: str | None = None) -> Alias:
        """Return to what the alias named before its last promotion; after the first one it names no version.

        Raises PreconditionError if it names none, ConflictError as `promote`.
        """
        before = self._read(name, check_alias(alias))
        self._check_names_a_version(before.alias)
        changes = self._history(before)
        target = rollback_target(versions_to_return_to(changes), lambda version: self._exists(name, version))
        change = self._change(before, "rollback", target, by, reason)
        if target is not None and (promotion := rests_on(changes, target)):
            same = {field: getattr(promotion, field) for field in ("eval_id", "verdict", "override")}
            change = change.model_copy(update=same)
        return self._write(before, change)

    def remove(self, name: str, *, by: str, alias: str = PRODUCTION, reason: str | None = None) -> Alias:
        """Let the alias name no version. Its history stays; nothing is left to roll back to. Errors as `rollback`."""
        before = self._read(name, check_alias(alias))
        self._check_names_a_version(before.alias)
        return self._write(before, self._change(before, "remove", None, by, reason))

    def _keys(self) -> list[str]:
        return [info.key for info in self._store.list(layout.ALIASES)]

    def _read(self, name: str, alias: str) -> StoredAlias:
        """The etag first: if another writer comes in between, the conditional write that follows loses."""
        key = layout.alias(layout.check_name(name, "name"), alias)
        try:
            etag = self._store.stat(key).etag
        except NotFoundError:
            return StoredAlias(Alias(name=name, alias=alias, version=None), None)
        return StoredAlias(read_alias(self._store, key), etag)

    def _history(self, stored: StoredAlias) -> list[AliasChange]:
        alias = stored.alias
        if alias.change is None:
            return []
        changes = [self._read_change(alias.name, alias.alias, number) for number in range(1, alias.change.number)]
        return [*changes, alias.change]

    def _read_change(self, name: str, alias: str, number: int) -> AliasChange:
        key = layout.alias_change(name, alias, number)
        try:
            return read_document(self._store, key, AliasChange)
        except NotFoundError as error:
            raise CorruptDataError(f"{key} is missing: restore it from a backup", key=key) from error

    @staticmethod
    def _check_names_a_version(alias: Alias) -> None:
        if alias.version is None:
            raise PreconditionError(
                f"alias {alias.alias} of {alias.name} names no version: `burnish adapters alias ls` lists those that do"
            )

    @staticmethod
    def _change(
        before: StoredAlias, action: str, to_version: str | None, by: str, reason: str | None = None
    ) -> AliasChange:
        alias = before.alias
        return AliasChange.model_validate(
            {
                "name": alias.name,
                "alias": alias.alias,
                "number": (alias.change.number if alias.change else 0) + 1,
                "action": action,
                "from_version": alias.version,
                "to_version": to_version,
                "reason": _text(reason, "reason"),
                "by": _text(by, "by") or "unknown",
            }
        )

    def _write(self, before: StoredAlias, change: AliasChange) -> Alias:
        key = layout.alias(change.name, change.alias)
        after = Alias(name=change.name, alias=change.alias, version=change.to_version, change=change)
        data = after.model_dump_json(indent=2).encode()
        if before.alias.change:
            self._keep(before.alias.change)
        try:
            if before.etag is None:
                self._store.put_if_absent(key, data)
            else:
                self._store.put_if_match(key, data, before.etag)
        except (AlreadyExistsError, ConflictError) as error:
            raise ConflictError(
                f"alias {change.alias} of {change.name} was changed by somebody else meanwhile: "
                "`burnish adapters alias ls` shows how; decide again",
                key=key,
            ) from error
        self._keep(change)
        return after

    def _keep(self, change: AliasChange) -> None:
        """Into the history, once."""
        key = layout.alias_change(change.name, change.alias, change.number)
        try:
            self._store.put_if_absent(key, change.model_dump_json(indent=2).encode())
        except AlreadyExistsError:
            return

    def _exists(self, name: str, version: str) -> bool:
        try:
            self._store.stat(layout.adapter(name, version))
        except NotFoundError:
            return False
        return True

    def _check_verdict(self, one: EvalManifest) -> None:
        """The manifest's word is not enough: the verdict file has the digest that it states, and says the same."""
        entry = next((entry for entry in one.files if entry.path == VERDICT_FILE), None)
        if entry is None:
            raise UnprovenError(f"eval {one.id} has no {VERDICT_FILE}: evaluate again", eval_id=one.id)
        stored = orjson.loads(get_verified(self._store, layout.evaluation(one.id, VERDICT_FILE), entry))
        if stored.get("verdict") != one.verdict:
            raise UnprovenError(
                f"eval {one.id} says {one.verdict} in its manifest and {stored.get('verdict')} in its {VERDICT_FILE}: "
                "evaluate again",
                eval_id=one.id,
            )


def read_alias(store: ObjectStore, key: str) -> Alias:
    """NotFoundError if there is none, CorruptDataError if it cannot be read or is another's."""
    alias = read_document(store, key, Alias)
    if layout.alias(alias.name, alias.alias) != key:
        raise CorruptDataError(f"{key} is alias {alias.alias} of {alias.name}: restore it from a backup", key=key)
    return alias


def _text(text: str | None, field: str) -> str | None:
    """Without white space around it; InvalidInputError if nothing is left of it, or too much."""
    if text is None:
        return None
    if not 1 <= len(text.strip()) <= LONGEST_TEXT:
        raise InvalidInputError(f"{field}: give 1 to {LONGEST_TEXT} characters", field=field)
    return text.strip()
