"""A thing that is removed while it is written: it is whole or gone afterwards, never a manifest without its files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from runlog_making import jsonl, repeated_failures

from burnish.curation.benchmarks.building import build_benchmark
from burnish.digests import sha256_hex
from burnish.errors import NotFoundError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.ports import ObjectInfo
from burnish.schemas.base import FileEntry
from burnish.schemas.evaluation import EvalManifest
from burnish_curator.benchmarks.repository import BenchmarkRepository
from burnish_curator.evals.repository import EvalRepository
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.runlogs.repository import RunLogRepository

LINES = jsonl(repeated_failures({"not-json": 3}))
QUESTION = jsonl([{"question_id": "q", "prompt": "?", "expected_answer": "a", "grader": {"name": "exact"}}])
MEANWHILE_SECONDS = 0.5


class Interrupted(MemoryObjectStore):
    """Before a manifest is written, `meanwhile` has half a second for its work in another thread."""

    meanwhile: Callable[[], None]
    thread: threading.Thread | None = None

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        if self.thread is None:
            self.thread = threading.Thread(target=self.meanwhile)
            self.thread.start()
            self.thread.join(MEANWHILE_SECONDS)
        return super().put_if_absent(key, data)


def write_run_log(store: Interrupted, folder: Path) -> None:
    logs = RunLogRepository(store, folder / "cache", folder / "spool", CuratorMetrics())
    run_log_id = RunLogRepository(MemoryObjectStore(), folder / "c", folder / "s", CuratorMetrics()).ingest(
        "x", iter([LINES])
    ).manifest.id  # fmt: skip
    store.meanwhile = lambda: logs.remove(run_log_id)
    logs.ingest("x", iter([LINES]))


def write_benchmark(store: Interrupted, folder: Path) -> None:
    benchmarks, built = BenchmarkRepository(store), build_benchmark([QUESTION], "x")
    store.meanwhile = lambda: benchmarks.remove("x", built.manifest.version)
    benchmarks.save(built)


def write_eval(store: Interrupted, folder: Path) -> None:
    evals = EvalRepository(store, folder)
    evals.put_file("e1", "base.jsonl", iter([b"{}\n"]))
    store.meanwhile = lambda: evals.remove("e1")
    entry = FileEntry(path="base.jsonl", size_bytes=3, sha256=sha256_hex(b"{}\n"))
    evals.seal(
        EvalManifest(id="e1", base_model="b", candidate_model="c", benchmark="x/1", verdict="ship", files=[entry])
    )


@pytest.mark.parametrize("write", [write_run_log, write_benchmark, write_eval])
def test_a_removal_waits_for_the_writer(write: Callable[[Interrupted, Path], None], tmp_path: Path) -> None:
    store = Interrupted()
    write(store, tmp_path)
    assert store.thread is not None
    store.thread.join(20)
    assert [info.key for info in store.list("")] == []
    assert [path for path in (tmp_path / "cache").rglob("part-*") if path.is_file()] == []


def test_a_reader_whose_run_log_is_removed_meanwhile_says_so(tmp_path: Path) -> None:
    logs = RunLogRepository(MemoryObjectStore(), tmp_path / "cache", tmp_path / "spool", CuratorMetrics())
    run_log_id = logs.ingest("x", iter([LINES])).manifest.id
    opened = logs.open(run_log_id)
    logs.remove(run_log_id)
    for read in (
        lambda: opened.reader.columns(["grade"]),
        lambda: list(opened.reader.lines([0])),
        lambda: opened.diagnosis,
    ):
        with pytest.raises(NotFoundError, match="removed while it was read"):
            read()
