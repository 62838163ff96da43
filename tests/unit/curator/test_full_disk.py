"""A full disk under the curator: told as one, nothing half-written, and everything works once there is room."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from full_disk import NoRoom
from runlog_making import jsonl, repeated_failures
from sqlalchemy import Engine, event

from burnish.errors import UnavailableError
from burnish_curator.app import Deps
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.runlogs.repository import RunLogRepository

LINES = repeated_failures({"not-json": 6}, passing_questions=5)


@contextmanager
def full(database: Engine) -> Iterator[None]:
    """SQLite's own limit, which takes the size that the file has: it is full."""

    def limit(connection: Any) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    event.listen(database, "begin", limit)
    try:
        yield
    finally:
        event.remove(database, "begin", limit)
        database.dispose()


@pytest.fixture
async def run_log(caller: httpx.AsyncClient) -> str:
    answer = await caller.post("/v1/runlogs", params={"name": "week"}, content=jsonl(LINES))
    found: str = answer.json()["manifest"]["id"]
    return found


async def test_a_review_finds_no_room(caller: httpx.AsyncClient, deps: Deps, run_log: str) -> None:
    url = f"/v1/runlogs/{run_log}/review"
    items = [json.loads(line) for line in (await caller.get(url)).text.splitlines()]
    kept = jsonl([items[0] | {"corrected_output": "right"}])
    assert (await caller.post(url, content=kept)).json()["accepted"] == 1
    review = jsonl(
        [items[0] | {"corrected_output": "", "earlier_correction": "right"}]
        + [i | {"corrected_output": "x" * 50_000} for i in items[1:]]
    )
    with full(deps.database):
        answer = await caller.post(url, content=review)
    assert answer.status_code == 503
    assert "the disk of the curator's database is full, nothing was changed" in answer.json()["error"]["message"]
    assert [json.loads(line)["corrected_output"] for line in (await caller.get(url)).text.splitlines()][:2] == [
        "right",
        "",
    ]
    assert (await caller.post(url, content=review)).json()["removed"] == 1


def test_a_run_log_finds_no_room_in_the_cache(
    tmp_path: Path, make_repository: Callable[[Path], RunLogRepository]
) -> None:
    run_log = make_repository(tmp_path / "first").ingest("week", iter([jsonl(LINES)])).manifest.id
    repository = make_repository(tmp_path / "second")
    with pytest.raises(
        UnavailableError, match=rf"no room to fetch run log {run_log} in .*about 1 MB are needed.*CACHE_GIB"
    ):
        repository.open(run_log)
    STORE.has_room = True
    assert repository.open(run_log).diagnosis


STORE = NoRoom()


@pytest.fixture
def make_repository() -> Callable[[Path], RunLogRepository]:
    STORE.has_room = False
    return lambda folder: RunLogRepository(STORE, folder, folder / "spool", CuratorMetrics())


def test_a_lower_bound_counts_from_the_start(tmp_path: Path) -> None:
    """A cache that fills the disk is trimmed before anything else has to fit."""
    (tmp_path / "runlogs" / "old").mkdir(parents=True)
    (tmp_path / "runlogs" / "old" / "part").write_bytes(b"x" * 1000)
    RunLogRepository(NoRoom(), tmp_path, tmp_path / "spool", CuratorMetrics(), cache_bytes=500)
    assert list((tmp_path / "runlogs").iterdir()) == []
