"""How long the first list of many dataset versions takes: without and with what an earlier start has read. Called by `make bench-lists`."""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from burnish import layout
from burnish.schemas.dataset import DatasetCounts, DatasetManifest, DatasetSpec, LengthStatistics, Split
from burnish.testing.seaweed import running_seaweed
from burnish_curator.datasets.repository import DatasetRepository

QUESTIONS = 100


def manifest(number: int) -> DatasetManifest:
    ids = [f"question-{number}-{n}" for n in range(QUESTIONS)]
    return DatasetManifest(
        name="fix",
        version=f"{number:016x}",
        created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
        parents=[],
        files=[],
        spec=DatasetSpec(name="fix", run_log_id="0" * 16, labels=["a"]),
        counts=DatasetCounts(corrections=70, anchors=30, train=90, validation=10, held_out=30),
        split=Split(targeted=ids, held_out=ids[:30], train=ids[30:90], validation=ids[90:], anchors=ids[:30]),
        lengths=LengthStatistics(unit="characters", minimum=1, median=2, p95=3, maximum=4, total=5),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_seaweed(Path(folder) / "store") as server:
        store = server.store("lists")
        store.ensure_bucket()
        documents = {
            layout.dataset("fix", f"{n:016x}", layout.MANIFEST): manifest(n).model_dump_json(indent=2).encode()
            for n in range(options.datasets)
        }
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda item: store.put(*item), documents.items()))
        for number in range(options.rounds):
            cache = Path(folder) / f"cache-{number}"
            for what in ("nothing read before", "read by an earlier start", "the list again"):
                if what != "the list again":
                    repository = DatasetRepository(store, cache)
                began, cpu = time.perf_counter(), time.process_time()
                found = len(repository.list())
                print(
                    f"{found:,} datasets, {what:26} {time.perf_counter() - began:6.2f} s, {time.process_time() - cpu:5.2f} CPU s"
                )


if __name__ == "__main__":
    main()
