"""Manifests that were read are on local disk for the next start: a list then reads only what is new, and never what is another object now."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from burnish import layout
from burnish.curation.benchmarks.building import build_benchmark
from burnish.objectstores.memory import MemoryObjectStore
from burnish.ports import ObjectInfo
from burnish_curator.benchmarks.repository import BenchmarkRepository
from burnish_curator.manifest_file import ManifestFile

QUESTION = b'{"question_id": "q", "prompt": "%d?", "expected_answer": "y", "grader": {"name": "exact"}}\n'


class CountingStore(MemoryObjectStore):
    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def get(self, key: str, size_bytes: int | None = None) -> bytes:
        self.read.append(key)
        return super().get(key, size_bytes)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


def fill(store: CountingStore, numbers: range) -> list[str]:
    """Keys of the manifests of new benchmarks."""
    made = [BenchmarkRepository(store).save(build_benchmark([QUESTION % n], f"b{n}")) for n in numbers]
    store.read.clear()
    return [layout.benchmark(each.name, each.version, layout.MANIFEST) for each in made]


def started(store: CountingStore, folder: Path) -> BenchmarkRepository:
    return BenchmarkRepository(store, folder)


def test_a_start_reads_only_what_is_new(store: CountingStore, tmp_path: Path) -> None:
    keys = fill(store, range(5))
    first = started(store, tmp_path).list()
    assert sorted(store.read) == sorted(keys)
    [new] = fill(store, range(5, 6))
    again = started(store, tmp_path).list()
    assert store.read == [new]
    assert [each.name for each in again][1:] == [each.name for each in first]
    assert {each.model_dump_json(exclude_unset=True) for each in first} <= {
        each.model_dump_json(exclude_unset=True) for each in again
    }


def test_what_is_another_object_now_is_read_again(store: CountingStore, tmp_path: Path) -> None:
    """In this process, as another one may have changed it, and in the next."""
    repository, [key] = started(store, tmp_path), fill(store, range(1))
    [old] = repository.list()
    store.put(key, old.model_copy(update={"questions": 7}).model_dump_json().encode())
    assert [each.questions for each in repository.list()] == [7]
    assert [each.questions for each in started(store, tmp_path).list()] == [7]
    assert store.read == [key, key]


def test_what_is_gone_or_was_forgotten_is_not_brought_back(store: CountingStore, tmp_path: Path) -> None:
    one, other = fill(store, range(2))
    repository = started(store, tmp_path)
    repository.list()
    store.delete(one)
    assert [each.name for each in started(store, tmp_path).list()] == ["b1"]
    repository.forget_all()
    assert not list(tmp_path.rglob("*.jsonl"))
    store.read.clear()
    assert [each.name for each in started(store, tmp_path).list()] == ["b1"]
    assert store.read == [other]


def test_a_file_that_was_cut_or_is_of_another_version_costs_a_read(store: CountingStore, tmp_path: Path) -> None:
    keys = fill(store, range(3))
    started(store, tmp_path).list()
    [file] = tmp_path.rglob("*.jsonl")
    lines = file.read_bytes().splitlines()
    changed = lines[1].replace(b'\\"questions\\"', b'\\"asked\\"')
    assert changed != lines[1]
    file.write_bytes(b"\n".join([lines[0], changed, lines[2][:40], b"3\n"]))
    store.read.clear()
    assert len(started(store, tmp_path).list()) == 3
    assert len(store.read) == 2
    assert set(store.read) < set(keys)
    store.read.clear()
    assert len(started(store, tmp_path).list()) == 3
    assert store.read == []


def test_a_disk_that_takes_nothing_is_told_and_fails_no_list(
    store: CountingStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(store, range(2))
    (tmp_path / "manifests").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert len(started(store, tmp_path).list()) == 2
    assert "the next start reads manifests from the store" in caplog.text


def test_a_file_of_things_that_are_gone_is_removed(tmp_path: Path) -> None:
    def infos(count: int) -> Iterator[ObjectInfo]:
        return (ObjectInfo(f"k{n}", 1, "e") for n in range(count))

    file = ManifestFile(tmp_path / "x.jsonl")
    file.take([])
    file.add((info, "{}") for info in infos(150))
    file.clear_if_stale(30)
    assert (tmp_path / "x.jsonl").is_file()
    file.clear_if_stale(20)
    assert not (tmp_path / "x.jsonl").exists()
    assert all(file.lacks(info) for info in infos(3))
