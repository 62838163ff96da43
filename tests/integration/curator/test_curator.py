"""The curator as it runs: a process on a socket, real S3, restarts, kills and races."""

from __future__ import annotations

import json
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.bench_runlog import measure, write_log
from integration.curator.process import TOKEN, CuratorProcess, start_curator
from runlog_making import jsonl, repeated_failures

from burnish.digests import sha256_hex
from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.runlog import RunLogImport

LINES = repeated_failures({"not-json": 10, "rare": 2}, passing_questions=20)


def import_log(client: httpx.Client, body: bytes | None = None) -> RunLogImport:
    answer = client.post("/v1/runlogs", params={"name": "week"}, content=jsonl(LINES) if body is None else body)
    assert answer.status_code == 200, answer.text
    return RunLogImport.model_validate_json(answer.content)


def correct_all(client: httpx.Client, run_log: str) -> list[dict[str, Any]]:
    exported = client.get(f"/v1/runlogs/{run_log}/review").text.splitlines()
    items = [json.loads(line) for line in exported]
    items = [item | {"corrected_output": f"right {item['question_id']}"} for item in items]
    answer = client.post(f"/v1/runlogs/{run_log}/review", content=jsonl(items)).json()
    assert (answer["accepted"], answer["rejected_lines"]) == (len(items), [])
    return items


def test_the_whole_way_through(curator: CuratorProcess, base_model_dir: Path) -> None:
    """Import, diagnose, review, build, export, benchmark, eval: lengths in tokens of the base model."""
    with curator.client() as client:
        run_log = import_log(client).manifest.id
        diagnosis = client.get(f"/v1/runlogs/{run_log}/diagnosis").json()
        assert [c["label"] for c in diagnosis["clusters"] if c["candidate"]] == ["not-json"]
        assert len(correct_all(client, run_log)) == 10
        manifest = build(client, run_log)
        assert (manifest.counts.corrections, manifest.counts.held_out, manifest.counts.anchors) == (7, 3, 4)
        assert (manifest.lengths.unit, manifest.lengths.tokenizer) == ("tokens", base_model_dir.name)
        exported = client.get("/v1/datasets/fix/latest/export", params={"form": "together"}).text.splitlines()
        assert len(exported) == manifest.counts.train
        report = b"<p>report</p>"
        assert client.put("/v1/evals/e1/report.html", content=report).status_code == 204
        entry = {"path": "report.html", "size_bytes": len(report), "sha256": sha256_hex(report)}
        sealed = {"id": "e1", "base_model": "base", "candidate_model": "fix", "benchmark": "b/1", "verdict": "ship"}
        assert client.post("/v1/evals", json=sealed | {"files": [entry]}).status_code == 200
        assert client.get("/v1/evals/e1/report.html").content == report


def build(client: httpx.Client, run_log: str) -> DatasetManifest:
    """A dataset guarded by a benchmark that asks what the log asked."""
    questions = [
        {"question_id": q, "prompt": f"What is {q}?", "expected_answer": f"right {q}", "grader": {"name": "exact"}}
        for q in sorted({line["question_id"] for line in LINES})
    ]
    benchmark = client.post("/v1/benchmarks", params={"name": "b"}, content=jsonl(questions)).json()
    spec = {"name": "fix", "run_log_id": run_log, "labels": ["not-json"], "benchmark": f"b/{benchmark['version']}"}
    answer = client.post("/v1/datasets", json=spec)
    assert answer.status_code == 200, answer.text
    return DatasetManifest.model_validate_json(answer.content)


def test_a_kill_before_the_manifest_leaves_no_run_log_and_the_next_import_completes_it(
    tmp_path: Path, s3: dict[str, str], s3_store: S3ObjectStore
) -> None:
    folder = tmp_path / "curator"
    dying = start_curator(folder, s3, argv=[str(Path(__file__).with_name("dying_curator.py"))])
    with dying.client() as client, pytest.raises(httpx.TransportError):
        import_log(client)
    assert dying.process.wait(timeout=20) == -9
    left = [info.key for info in s3_store.list("runlogs/")]
    assert [key.split("/")[-1].split("-")[0] for key in left] == ["part"]
    assert len(list((folder / "cache" / "spool").iterdir())) == 1
    curator = start_curator(folder, s3)
    try:
        assert list((folder / "cache" / "spool").iterdir()) == []
        with curator.client() as client:
            assert client.get("/v1/runlogs").json() == {"runlogs": [], "broken": [], "next_page_token": ""}
            result = import_log(client)
            assert not result.already_existed
            assert client.get(f"/v1/runlogs/{result.manifest.id}/diagnosis").json()["lines"] == len(LINES)
            assert len([info.key for info in s3_store.list("runlogs/") if info.key not in left]) == 2
            assert (
                client.delete(f"/v1/runlogs/{result.manifest.id}").status_code == 204
            )  # takes what the dead one left along
            assert list(s3_store.list("runlogs/")) == []
    finally:
        curator.stop()


def test_a_restart_keeps_corrections_and_needs_no_cache(tmp_path: Path, s3: dict[str, str]) -> None:
    first = start_curator(tmp_path, s3)
    with first.client() as client:
        run_log = import_log(client).manifest.id
        items = correct_all(client, run_log)
    first.process.kill()
    first.process.wait()
    shutil.rmtree(tmp_path / "cache")
    second = start_curator(tmp_path, s3)
    try:
        with second.client() as client:
            review = client.get(f"/v1/runlogs/{run_log}/review").text.splitlines()
            decided = {"state": "corrected", "author": "", "version": 0}
            kept = [item | {"earlier_correction": item["corrected_output"]} | decided for item in items]
            assert [json.loads(line) | {"version": 0} for line in review] == kept
            assert import_log(client).already_existed
    finally:
        second.stop()


def test_concurrent_imports_of_one_file_make_one_run_log(curator: CuratorProcess, shared_store: S3ObjectStore) -> None:
    body = jsonl(LINES * 200)

    def import_once(_: int) -> RunLogImport:
        with curator.client() as client:
            return import_log(client, body)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(import_once, range(6)))
    assert sorted(result.already_existed for result in results) == [False, *[True] * 5]
    [run_log] = {result.manifest.id for result in results}
    assert len(list(shared_store.list(f"runlogs/{run_log}/"))) == 2


def test_a_caller_that_goes_away_leaves_nothing(curator: CuratorProcess, shared_store: S3ObjectStore) -> None:
    """Half of a promised body, then the line is cut; the curator stays well and its log has no traceback."""
    before = list(shared_store.list("runlogs/"))
    port = int(curator.url.rsplit(":", 1)[1])
    head = f"POST /v1/runlogs?name=x HTTP/1.1\r\nHost: c\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + jsonl(LINES * 2))
        time.sleep(0.2)  # the curator is reading
    _until(lambda: "the client went away" in curator.log())
    assert list((curator.folder / "cache" / "spool").iterdir()) == []
    assert list(shared_store.list("runlogs/")) == before
    assert "Traceback" not in curator.log()


def test_a_large_run_log_is_fast_and_small(tmp_path: Path, s3: dict[str, str]) -> None:
    """The bar (500,000 lines in 60 s and 1 GB; about 6 times json.loads here) at a size that CI can afford.

    In a process of its own: six imports at one time leave one of 440 MB.
    """
    lines = 20_000
    write_log(tmp_path / "log.jsonl", lines)
    curator = start_curator(tmp_path / "curator", s3)
    try:
        measured = measure(tmp_path / "log.jsonl", lines, curator)
    finally:
        curator.stop()
    assert measured.import_and_diagnose_seconds < 20 * measured.json_loads_seconds + 2, measured
    assert measured.peak_memory_bytes < 450e6, measured
    later = (measured.diagnose_again_seconds, measured.rows_of_label_seconds, measured.manifest_seconds)
    assert max(later) < 2, measured


def test_a_curator_that_cannot_start_says_why(tmp_path: Path, s3: dict[str, str]) -> None:
    with pytest.raises(RuntimeError, match="BURNISH_CURATOR_DATABASE_URL"):
        start_curator(tmp_path, s3, DATABASE_URL="nonsense")


def _until(condition: Any, limit_seconds: float = 20) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
