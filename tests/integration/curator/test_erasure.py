"""Erasing a user: everywhere, provably, once, and whole however often it dies on the way."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from curator_thread import TOKEN, curator_thread
from fastapi import FastAPI
from integration.curator.process import start_curator
from lineage_making import ANNA, BEN, Made, answered, asked, corrected, make

from burnish import layout
from burnish.curation.lengths import CharacterLengths
from burnish.errors import ErasedError, NotFoundError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.objectstores.s3 import S3ObjectStore
from burnish.ports import ObjectInfo, ObjectStore
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.erasure import ErasureRequest
from burnish_client.cli import app as cli
from burnish_client.sdk.curator import CuratorClient
from burnish_curator.app import Deps, create_app
from burnish_curator.database import open_database
from burnish_trainer.data.rows import VersionRef, read_manifest

HERS = [n for n in range(24) if n % 4 == 0]
FAILING = [n for n in HERS if n < 12]
SPAN = {
    "traceId": "5" * 32, "name": "chat", "startTimeUnixNano": "1", "endTimeUnixNano": "2",
    "attributes": [
        {"key": key, "value": {"stringValue": value}}
        for key, value in {
            "gen_ai.operation.name": "chat",
            "user.id": ANNA,
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Is my lamp on its way?"}]}]),
        }.items()
    ],
}  # fmt: skip


def wait_traces(url: str) -> None:
    """One trace of Anna's and one of Ben's wait."""
    ben = json.loads(json.dumps(SPAN).replace(ANNA, BEN).replace("my lamp", "Ben's lamp")) | {"traceId": "6" * 32}
    spans = [span | {"spanId": number * 16} for number, span in (("1", SPAN), ("2", ben))]
    body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": spans}]}]}
    httpx.post(f"{url}/v1/traces", json=body, headers={"Authorization": f"Bearer {TOKEN}"}).raise_for_status()


def texts_in(store: ObjectStore) -> dict[str, str]:
    """Every object as text, read without the code under test."""
    found = {}
    for info in store.list(""):
        data = store.get(info.key)
        if info.key.endswith(".gz"):
            data = gzip.decompress(data)
        if info.key.endswith(".parquet"):
            found[info.key] = json.dumps(pq.read_table(io.BytesIO(data)).to_pylist(), default=str)
        else:
            found[info.key] = data.decode(errors="replace")
    return found


def check_gone(store: ObjectStore, database: Path) -> None:
    """Nothing of Anna's is left in the bucket or the database, and everything of Ben's is."""
    bodies = texts_in(store)
    for number in [*HERS, 99]:
        for text in (asked(number), answered(number), corrected(number), f"The parcel of Larch Lane q{number} is"):
            spelt = {text, json.dumps(text)[1:-1], text.replace('"', "&#34;"), json.dumps(json.dumps(text)[1:-1])[1:-1]}
            assert not [key for key, body in bodies.items() if any(one in body for one in spelt)], text
    assert not [key for key, body in bodies.items() if ANNA in body or "my lamp" in body]
    assert any("Ben's lamp" in body for body in bodies.values())
    everything = "".join(bodies.values())
    for number in set(range(24)) - set(HERS):
        assert asked(number) in everything
    with sqlite3.connect(database) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = "".join(str(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in tables)
    assert not [number for number in FAILING if corrected(number) in rows]
    assert corrected(1) in rows


@dataclass
class World:
    """What was made, as it was before anything was erased."""

    made: Made
    objects: dict[str, bytes]
    database: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    store = MemoryObjectStore()
    with curator_thread(folder, store) as url, CuratorClient(url, TOKEN) as client:
        made = make(store, client, folder)
        wait_traces(url)
    with sqlite3.connect(folder / "curator.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return World(made, dict(store._objects), folder / "curator.db")


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class DiesAt(MemoryObjectStore):
    """Dies before its nth write, where every change of an object counts."""

    def __init__(self, objects: dict[str, bytes], nth: int) -> None:
        super().__init__()
        self._objects = dict(objects)
        self.writes, self.nth = 0, nth

    def _count(self) -> None:
        self.writes += 1
        if self.writes == self.nth:
            raise Killed

    def _write(self, key: str, data: bytes) -> ObjectInfo:
        self._count()
        return super()._write(key, data)

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)


def started(store: ObjectStore, folder: Path, database: Path) -> FastAPI:
    """A curator whose process has just started: nothing in memory, an earlier cache on disk."""
    engine = open_database(f"sqlite:///{database}")
    return create_app(Deps(store, engine, folder / "cache", TOKEN, CharacterLengths()))


def test_a_user_is_erased_everywhere_and_the_proof_is_a_scan(s3_store: S3ObjectStore, tmp_path: Path) -> None:
    with curator_thread(tmp_path, s3_store) as url, CuratorClient(url, TOKEN, timeout_seconds=120) as client:
        made = make(s3_store, client, tmp_path)
        wait_traces(url)
        client.diagnosis(made.run_log.id)  # it is open and in the cache
        preview = client.erase(user=ANNA, preview=True)
        assert preview.state == "preview"
        assert {one.run_log_id: len(one.lines) for one in preview.run_logs} == {made.run_log.id: 12, made.graded.id: 12}
        assert [(one.version, one.rows > 0) for one in preview.datasets] == [(made.dataset.version, True)]
        assert (preview.traces, preview.reviews, preview.evals) == (1, 3, ["evals/e1/"])
        adapter = f"addresses-fixed@{made.adapter.version}"
        assert preview.adapters == [adapter]
        assert client.dataset("addresses").version == made.dataset.version

        record = client.erase(user=ANNA)
        assert (record.state, record.adapters, record.reviews, record.traces) == ("done", [adapter], 3, 1)
        assert record.scan is not None
        assert (record.scan.found, record.scan.texts > 20, record.scan.not_read) == ([], True, 1)
        assert client.erasure(record.id) == record
        check_gone(s3_store, tmp_path / "curator.db")

        log = client.run_log(made.run_log.id)
        assert (log.accepted, log.erased, log.lines, log.grades) == (36, 12, 49, {"correct": 18, "wrong": 18})
        page = client.run_log_rows(log.id, limit=100)
        assert (page.total, client.run_log_rows(log.id, user=ANNA).total) == (36, 0)
        assert page.line_numbers == [n for n in range(1, 49) if (n - 1) % 4]
        assert [line.excerpt for line in client.rejected_lines(log.id)] == ["[erased]"]
        assert client.diagnosis(log.id).failing == 18
        assert client.import_run_log(tmp_path / "runs.jsonl", "again").already_existed

        [old] = record.datasets
        new = client.dataset("addresses")
        assert (new.version, old.version) == (old.replaced_by, made.dataset.version)
        assert not {f"q{n}" for n in HERS} & {one for part in new.split.model_dump().values() for one in part}
        rows = b"".join(client.export_dataset("addresses", new.version, "rows")).splitlines()
        assert len(rows) == new.counts.train
        before, after = made.dataset.counts, new.counts
        assert before.train + before.validation - after.train - after.validation == old.rows > 0
        with pytest.raises(ErasedError, match=f"was erased on .*; take addresses@{new.version}"):
            client.dataset("addresses", made.dataset.version)
        answer = httpx.get(
            f"{url}/v1/datasets/addresses/{made.dataset.version}", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        assert (answer.status_code, answer.json()["error"]["reason"]) == (410, "ERASED")
        with pytest.raises(ErasedError):
            read_manifest(s3_store, VersionRef(name="addresses", version=made.dataset.version))

        verdict = json.loads(client.eval_file("e1", "verdict.json"))
        assert verdict == {"verdict": "ship", "regressions": [{"question_id": "q0", "base_answer": "[erased]"}]}
        report = client.eval_file("e1", "report.html").decode()
        assert report == f"<p>[erased]</p><p>[erased]</p><p>{answered(1)}</p>"
        assert client.erase(user=ANNA).state == "nothing"
        assert [one.id for one in client.erasures()] == [record.id]


def test_the_command_previews_and_erases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    store = MemoryObjectStore()
    with curator_thread(tmp_path, store) as url, CuratorClient(url, TOKEN) as client:
        made = make(store, client, tmp_path)
        question = {"question_id": "q0", "prompt": asked(0), "expected_answer": "yes", "grader": {"name": "exact"}}
        client.import_benchmark([BenchmarkQuestion.model_validate(question)], "hers")
        for name, value in (("HOME", str(tmp_path / "home")), ("CURATOR_URL", url), ("TOKEN", TOKEN)):
            monkeypatch.setenv(f"BURNISH_{name}", value)
        assert cli.run(["erase", "--user", ANNA]) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith("would erase")
        assert "12 lines, 1 rejected" in printed.out
        for text in (f"adapter addresses-fixed@{made.adapter.version}", "--yes"):
            assert text in printed.err
        assert client.run_log(made.run_log.id).accepted == 48
        assert cli.run(["erase", "--user", ANNA, "--yes"]) == 1
        printed = capsys.readouterr()
        assert printed.out.startswith("erased ")
        assert max(map(len, printed.out.splitlines())) <= 80
        for text in ("still there: benchmarks/hers/", "burnish benchmark rm hers@"):
            assert text in printed.err
        assert cli.run(["erase", "--user", ANNA, "--yes"]) == 0
        assert "nothing to erase" in capsys.readouterr().out
        assert cli.run(["runs", "show", "shop", "--limit", "0"]) == 0
        assert "erased    12 lines" in capsys.readouterr().out
        assert (cli.run(["erase"]), "say what to erase" in capsys.readouterr().err) == (2, True)


def test_a_line_goes_with_its_copies_and_leaves_what_others_asked(world: World, tmp_path: Path) -> None:
    store, database = DiesAt(world.objects, 0), tmp_path / "curator.db"
    shutil.copy(world.database, database)
    app = started(store, tmp_path, database)
    record = app.state.erasures.erase(ErasureRequest(lines=["shop:1"]))
    made = world.made
    assert {one.run_log_id: one.lines for one in record.run_logs} == {made.run_log.id: [1], made.graded.id: [1]}
    assert (record.datasets, record.reviews, record.scan.found) == ([], 0, [])  # run b asked the same
    record = app.state.erasures.erase(ErasureRequest(lines=["shop:question=q0"]))
    assert {one.run_log_id: one.lines for one in record.run_logs} == {made.run_log.id: [25], made.graded.id: [25]}
    assert ([one.version for one in record.datasets], record.reviews) == ([made.dataset.version], 1)
    assert not [key for key, body in texts_in(store).items() if asked(0) in body]
    with pytest.raises(NotFoundError, match="has no line 'shop:1'"):
        app.state.erasures.erase(ErasureRequest(lines=["shop:1"]))
    gone = app.state.erasures.erase(ErasureRequest(lines=["shop:49"]))  # a rejected line
    assert [(one.lines, one.rejected) for one in gone.run_logs] == [([], [49])]


def test_a_log_of_which_nothing_is_left_still_reads(world: World, tmp_path: Path) -> None:
    store, database = DiesAt(world.objects, 0), tmp_path / "curator.db"
    shutil.copy(world.database, database)
    app = started(store, tmp_path, database)
    for user in (ANNA, BEN):
        assert app.state.erasures.erase(ErasureRequest(user=user)).state == "done"
    log = app.state.run_logs.open(world.made.run_log.id)
    assert (log.reader.rows, log.diagnosis.lines, list(app.state.datasets.list())) == (0, 0, [])
    assert app.state.reviews.overview(1).queues[0].problem is None


def writes_of_an_erasure(world: World, folder: Path) -> int:
    store, database = DiesAt(world.objects, 0), folder / "curator.db"
    shutil.copy(world.database, database)
    started(store, folder, database).state.erasures.erase(ErasureRequest(user=ANNA))
    return store.writes


def test_killed_before_any_write_it_ends_whole(world: World, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    writes = writes_of_an_erasure(world, tmp_path / "whole")
    assert writes > 20
    for nth in range(1, writes + 1):
        folder = tmp_path / str(nth)
        folder.mkdir()
        database = folder / "curator.db"
        shutil.copy(world.database, database)
        store = DiesAt(world.objects, nth)
        with pytest.raises(Killed):
            started(store, folder, database).state.erasures.erase(ErasureRequest(user=ANNA))
        again = started(store, folder, database)
        if nth == 1:  # nothing was written, so nothing goes on
            assert again.state.erasures.records.unfinished() is None
            continue
        again.state.erasures.go_on()
        check_gone(store, database)
        [record] = again.state.erasures.records.list()
        assert (record.state, record.scan.found) == ("done", []), nth
        assert [one.version for one in record.datasets] == [world.made.dataset.version], nth
        assert record.adapters == [f"addresses-fixed@{world.made.adapter.version}"]
        for one in again.state.evals.read("e1").files:
            again.state.evals.read_file("e1", one.path)
        again.state.datasets.export("addresses", record.datasets[0].replaced_by, "rows", "train")
        assert again.state.run_logs.open(world.made.run_log.id).reader.rows == 36
        assert not [key for key in store._objects if key == layout.erasure("open")]


def test_a_real_process_that_is_killed_goes_on_when_it_starts_again(
    s3: dict[str, str], s3_store: S3ObjectStore, tmp_path: Path
) -> None:
    with curator_thread(tmp_path, s3_store) as url, CuratorClient(url, TOKEN) as client:
        made = make(s3_store, client, tmp_path)
        wait_traces(url)
    dying = start_curator(tmp_path, s3, argv=[str(Path(__file__).with_name("dying_curator.py")), "changed"])
    with dying.client() as http, pytest.raises(httpx.TransportError):
        http.post("/v1/erasures", json={"user": ANNA})
    assert dying.process.wait(timeout=20) == -9
    assert any(ANNA in body for body in texts_in(s3_store).values())
    curator = start_curator(tmp_path, s3)
    try:
        with curator.client() as http:
            deadline = time.monotonic() + 120
            while not (found := http.get("/v1/erasures").json()["erasures"]) or found[0]["state"] != "done":
                assert time.monotonic() < deadline, curator.log()
                time.sleep(0.1)
            assert http.get(f"/v1/runlogs/{made.run_log.id}").json()["accepted"] == 36
    finally:
        curator.stop()
    check_gone(s3_store, tmp_path / "curator.db")


def test_another_curator_drops_what_it_kept(world: World, tmp_path: Path) -> None:
    database = tmp_path / "curator.db"
    shutil.copy(world.database, database)
    store = DiesAt(world.objects, 0)
    one, other = (started(store, tmp_path / name, database) for name in ("one", "other"))
    run_log_id = world.made.run_log.id
    assert other.state.run_logs.open(run_log_id).reader.rows == 48
    one.state.erasures.erase(ErasureRequest(user=ANNA))
    other.state.erasures.go_on()
    assert other.state.run_logs.open(run_log_id).reader.rows == 36
    cached = [path.read_bytes() for path in (tmp_path / "other" / "cache").rglob("*.parquet")]
    assert [pq.read_table(io.BytesIO(data)).num_rows for data in cached] == [36]
