"""Run logs into the object store: manifest last, the same content once."""

from __future__ import annotations

from collections.abc import Callable
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


class RunsFull(MemoryObjectStore):
    """Takes one file, then has no room for a second. meanwhile: what happens in between."""

    def __init__(self, meanwhile: Callable[[MemoryObjectStore], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile
        self._files = 0

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        self._files += 1
        if self._files == 2:
            self._meanwhile(super())  # type: ignore[arg-type]
            raise UnavailableError("its disk is full")
        return super().put_file(key, path)


def test_what_a_failed_import_left_is_removed(tmp_path: Path) -> None:
    store = RunsFull(lambda _: None)
    with pytest.raises(UnavailableError):
        publish(store, ingested(tmp_path / "a", bad_lines=1), "x")
    assert list(store.list("")) == []
    assert not publish(store, ingested(tmp_path / "b", bad_lines=1), "x").already_existed


def test_a_failed_import_leaves_the_files_of_another_of_the_same_lines(tmp_path: Path) -> None:
    other = MemoryObjectStore()
    done = publish(other, ingested(tmp_path / "b", bad_lines=1), "other")

    def import_the_same(store: MemoryObjectStore) -> None:
        for info in other.list(""):
            store.put(info.key, other.get(info.key))

    store = RunsFull(import_the_same)
    with pytest.raises(UnavailableError):
        publish(store, ingested(tmp_path / "a", bad_lines=1), "x")
    assert [info.key for info in store.list("")] == [info.key for info in other.list("")]
    assert read_manifest(store, done.manifest.id) == done.manifest


def test_the_slower_of_two_imports_of_the_same_lines_leaves_nothing(tmp_path: Path) -> None:
    class Overtaken(MemoryObjectStore):
        def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
            for info in other.list(""):
                self.put(info.key, other.get(info.key))
            return super().put_if_absent(key, data)

    other = MemoryObjectStore()
    publish(other, ingested(tmp_path / "b"), "quicker")
    store = Overtaken()
    assert publish(store, ingested(tmp_path / "a"), "slower").already_existed
    assert [info.key for info in store.list("")] == [info.key for info in other.list("")]
