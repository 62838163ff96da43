"""Puts an ingested run log into the object store and finds it there again. Keys: burnish.layout.runlog."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from burnish import layout
from burnish.errors import AlreadyExistsError, BurnishError, CorruptDataError, NotFoundError
from burnish.objectstores import manifests
from burnish.ports import ObjectStore
from burnish.runlogs.ingestion import Ingested
from burnish.schemas.base import FileEntry, Parent
from burnish.schemas.runlog import RunLogImport, RunLogManifest

PART_PREFIX = "part-"
REJECTED_PREFIX = "rejected-"


@dataclass(frozen=True)
class RunLogFiles:
    """The files of a manifest by kind."""

    parts: list[FileEntry]
    rejected: FileEntry | None


def publish(store: ObjectStore, ingested: Ingested, name: str, parent: str | None = None) -> RunLogImport:
    """Upload the files, then the manifest, which makes the run log exist. parent: id of the run log that its lines were made from.

    The same accepted lines are the same run log: whoever comes second gets already_existed and the stored manifest
    (its name and files), with the line counts and rejects of the file just sent. Files without a manifest are removed
    again; if this process dies before that, they go with the run log once that is removed.
    """
    existing = _existing(store, ingested)
    if existing is not None:
        return existing
    try:
        for entry in ingested.files:
            store.put_file(layout.runlog(ingested.id, entry.path), ingested.spool / entry.path)
    except BaseException:
        _remove_files(store, ingested)
        raise
    parents = [Parent(kind="runlog", name=parent, digest=parent)] if parent else []
    manifest = ingested.manifest(name).model_copy(update={"parents": parents})
    try:
        store.put_if_absent(layout.runlog(ingested.id), manifest.model_dump_json(indent=2).encode())
    except AlreadyExistsError:
        existing = _existing(store, ingested)
        if existing is None:
            raise
        _remove_files(store, ingested)
        return existing
    return RunLogImport(manifest=manifest, already_existed=False)


def _remove_files(store: ObjectStore, ingested: Ingested) -> None:
    """Those of this import, which no other one shares. A store that does not answer keeps them."""
    with suppress(BurnishError):
        for entry in ingested.files:
            store.delete(layout.runlog(ingested.id, entry.path))


def read_manifest(store: ObjectStore, run_log_id: str) -> RunLogManifest:
    """NotFoundError if there is no such run log, CorruptDataError if its manifest cannot be read."""
    try:
        return manifests.read_manifest(store, layout.runlog(run_log_id), RunLogManifest)
    except NotFoundError:
        raise NotFoundError(f"no run log {run_log_id!r}: `burnish runs ls` lists them", run_log_id=run_log_id) from None


def files_of(manifest: RunLogManifest) -> RunLogFiles:
    parts = [entry for entry in manifest.files if entry.path.startswith(PART_PREFIX)]
    if not parts:
        raise CorruptDataError(f"run log {manifest.id}: its manifest names no part")
    rejected = [entry for entry in manifest.files if entry.path.startswith(REJECTED_PREFIX)]
    return RunLogFiles(parts=parts, rejected=rejected[0] if rejected else None)


def _existing(store: ObjectStore, ingested: Ingested) -> RunLogImport | None:
    try:
        stored = read_manifest(store, ingested.id)
    except NotFoundError:
        return None
    this_file = {
        "lines": ingested.lines,
        "rejected": ingested.rejected,
        "rejected_lines": ingested.rejected_lines,
        "size_bytes": ingested.size_bytes,
    }
    return RunLogImport(manifest=stored.model_copy(update=this_file), already_existed=True)
