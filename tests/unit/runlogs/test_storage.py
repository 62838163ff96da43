"""Run logs into the object store: manifest last, the same content once."""

from __future__ import annotations

from pathlib import Path

import pytest
from runlog_making import jsonl, run

from burnish import layout
from burnish.errors import NotFoundError, UnavailableError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.ports import ObjectInfo
from burnish.runlogs.ingestion import Ingested, ingest
from burnish.runlogs.storage import files_of, publish, read_manifest


def ingested(folder: Path, *, bad_lines: int = 0) -> Ingested:
    folder.mkdir()
    return ingest([jsonl([run("q1"), run("q2")]) + b"bad\n" * bad_lines], folder)


class FailsAtManifest(MemoryObjectStore):
    """A store whose conditional writes fail, as when the process or the network dies after the parts."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        raise UnavailableError("gone")


def test_parts_then_manifest(tmp_path: Path, memory_store: MemoryObjectStore) -> None:
    result = publish(memory_store, ingested(tmp_path / "a", bad_lines=1), "week 12")
    assert not result.already_existed
    manifest = read_manifest(memory_store, result.manifest.id)
    assert manifest == result.manifest
    assert manifest.name == "week 12"
    stored = {info.key for info in memory_store.list(f"runlogs/{manifest.id}/")}
    assert stored == {layout.runlog(manifest.id)} | {layout.runlog(manifest.id, e.path) for e in manifest.files}
    assert files_of(manifest).rejected is not None


def test_the_same_lines_again_are_the_same_run_log(tmp_path: Path, memory_store: MemoryObjectStore) -> None:
    first = publish(memory_store, ingested(tmp_path / "a"), "first")
    before = {info.key: info.etag for info in memory_store.list("runlogs/")}
    again = publish(memory_store, ingested(tmp_path / "b", bad_lines=2), "second")
    assert again.already_existed
    assert again.manifest.name == "first"
    assert (again.manifest.rejected, len(again.manifest.rejected_lines), again.manifest.lines) == (2, 2, 4)
    assert {info.key: info.etag for info in memory_store.list("runlogs/")} == before
    assert read_manifest(memory_store, first.manifest.id).rejected == 0


def test_without_a_manifest_there_is_no_run_log(tmp_path: Path) -> None:
    store = FailsAtManifest()
    log = ingested(tmp_path / "a")
    with pytest.raises(UnavailableError):
        publish(store, log, "x")
    assert list(store.list(f"runlogs/{log.id}/part-"))
    with pytest.raises(NotFoundError, match="burnish runs ls"):
        read_manifest(store, log.id)
