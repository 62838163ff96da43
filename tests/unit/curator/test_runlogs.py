"""Run logs over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from runlog_making import jsonl, passing, repeated_failures, run

from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.runlog import Diagnosis, RunLogImport, RunLogLine
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.runlogs.repository import OPEN_LOGS, RunLogRepository

LINES = repeated_failures({"not-json": 6, "rare": 1}, passing_questions=5)


async def imported(caller: httpx.AsyncClient, body: bytes | None = None, **headers: str) -> RunLogImport:
    body = jsonl(LINES) if body is None else body
    answer = await caller.post("/v1/runlogs", params={"name": "week"}, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return RunLogImport.model_validate_json(answer.content)


async def test_import_list_show(caller: httpx.AsyncClient) -> None:
    result = await imported(caller)
    assert (result.already_existed, result.manifest.name, result.manifest.accepted) == (False, "week", 24)
    listed = (await caller.get("/v1/runlogs")).json()["runlogs"]
    shown = (await caller.get(f"/v1/runlogs/{result.manifest.id}")).json()
    assert listed == [shown] == [json.loads(result.manifest.model_dump_json())]


async def test_an_unknown_grade_is_asked_about_and_then_taken(caller: httpx.AsyncClient) -> None:
    body = jsonl([run("q1", grade="meh"), passing("q2")])
    refused = await caller.post("/v1/runlogs", params={"name": "week"}, content=body)
    assert refused.status_code == 400
    assert "'meh' (1 lines)" in refused.json()["error"]["message"]
    assert (await caller.get("/v1/runlogs")).json()["runlogs"] == []
    taken = await caller.post("/v1/runlogs", params={"name": "week", "grade": "meh=wrong"}, content=body)
    assert taken.json()["manifest"]["grades"] == {"correct": 1, "wrong": 1}


async def test_every_line_comes_back_as_it_can_be_imported(caller: httpx.AsyncClient) -> None:
    lines = [
        run("q1", grade=None, messages=[{"role": "user", "content": None, "name": "x"}], big=2**70),
        passing("q2", graded_by={"source": "human"}),
    ]
    first = await imported(caller, jsonl(lines))
    back = await caller.get(f"/v1/runlogs/{first.manifest.id}/lines")
    assert [json.loads(line) for line in back.text.splitlines()] == [
        {name: value for name, value in line.items() if value is not None or name == "grade"}
        | {"evidence_files": [], "evidence_text": "", "system_prompt": ""}
        for line in lines
    ]
    made = await caller.post("/v1/runlogs", params={"name": "made", "parent": first.manifest.id}, content=back.content)
    assert [parent["digest"] for parent in made.json()["manifest"]["parents"]] == [first.manifest.id]
    unknown = await caller.post("/v1/runlogs", params={"name": "made", "parent": "none"}, content=back.content)
    assert unknown.status_code == 404


async def test_the_same_file_again_already_existed(caller: httpx.AsyncClient) -> None:
    first = await imported(caller)
    again = await imported(caller)
    assert again.already_existed
    assert again.manifest == first.manifest


async def test_a_gzip_body_is_the_same_run_log(caller: httpx.AsyncClient) -> None:
    first = await imported(caller)
    zipped = gzip.compress(jsonl(LINES[:10])) + gzip.compress(jsonl(LINES[10:]))
    again = await imported(caller, zipped, **{"Content-Encoding": "gzip"})
    assert again.manifest.id == first.manifest.id


async def test_a_streamed_body_is_taken_in_pieces(caller: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        body = jsonl(LINES)
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    answer = await caller.post("/v1/runlogs", params={"name": "week"}, content=pieces())
    assert answer.json()["manifest"]["accepted"] == 24


async def test_bad_lines_are_reported_and_fetched(caller: httpx.AsyncClient) -> None:
    result = await imported(caller, jsonl(LINES) + b"nonsense\n" * 120)
    assert (result.manifest.rejected, len(result.manifest.rejected_lines)) == (120, 100)
    rejected = (await caller.get(f"/v1/runlogs/{result.manifest.id}/rejected")).text.splitlines()
    assert [json.loads(line)["line_number"] for line in rejected] == list(range(25, 145))


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"nonsense", {}, "none of the 1 lines is a run log line"),
        (b"", {}, "the file is empty"),
        (b"plain", {"Content-Encoding": "gzip"}, "the body is not gzip"),
        (gzip.compress(jsonl(LINES), mtime=0)[:-9], {"Content-Encoding": "gzip"}, "the gzip body ends early"),
        (b"x", {"Content-Encoding": "br"}, "Content-Encoding 'br' is not known"),
    ],
)
async def test_a_bad_file_is_refused(
    caller: httpx.AsyncClient, memory_store: MemoryObjectStore, body: bytes, headers: dict[str, str], message: str
) -> None:
    answer = await caller.post("/v1/runlogs", params={"name": "x"}, content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "INVALID_INPUT")
    assert message in answer.json()["error"]["message"]
    assert list(memory_store.list("")) == []


async def test_nothing_is_left_in_the_spool(caller: httpx.AsyncClient, tmp_path: Path) -> None:
    await imported(caller)
    await caller.post("/v1/runlogs", params={"name": "x"}, content=b"nonsense")
    assert list((tmp_path / "cache" / "spool").iterdir()) == []


async def test_rows_by_label_and_grade(caller: httpx.AsyncClient) -> None:
    extra = passing("q-extra", grade="acceptable", tenant="a", big=2**70)
    address = f"/v1/runlogs/{(await imported(caller, jsonl([*LINES, extra]))).manifest.id}/rows"
    page = (await caller.get(address, params={"label": "not-json", "offset": 5, "limit": 2})).json()
    assert page["total"] == 12
    assert [(r["question_id"], r["run_id"]) for r in page["rows"]] == [("not-json-005", "r0"), ("not-json-000", "r1")]
    [row] = (await caller.get(address, params={"grade": "acceptable"})).json()["rows"]
    assert RunLogLine.model_validate(row) == RunLogLine.model_validate(extra)
    for name, there in (("label", "there are not-json, rare"), ("grade", "acceptable")):
        unknown = await caller.get(address, params={name: "nothing"})
        assert (unknown.status_code, unknown.json()["error"]["metadata"]) == (400, {"field": name})
        assert there in unknown.json()["error"]["message"]
    assert (await caller.get(address, params={"limit": 0})).json() == {"rows": [], "total": 25, "line_numbers": []}


async def test_diagnosis(caller: httpx.AsyncClient) -> None:
    result = await imported(caller)
    answer = await caller.get(f"/v1/runlogs/{result.manifest.id}/diagnosis")
    diagnosis = Diagnosis.model_validate_json(answer.content)
    assert [(c.label, c.candidate) for c in diagnosis.clusters] == [("not-json", True), ("rare", False)]


@pytest.mark.parametrize("call", ["", "/rows", "/diagnosis", "/review", "/rejected"])
async def test_an_unknown_run_log_is_not_found(caller: httpx.AsyncClient, call: str) -> None:
    answer = await caller.get(f"/v1/runlogs/nothing{call}")
    assert (answer.status_code, answer.json()["error"]["reason"]) == (404, "NOT_FOUND")
    assert "burnish runs ls" in answer.json()["error"]["message"]


async def test_parts_come_back_from_the_store_when_the_cache_is_lost(
    caller: httpx.AsyncClient, memory_store: MemoryObjectStore, tmp_path: Path
) -> None:
    """And a part that is not what its manifest says is never served."""
    manifest = (await imported(caller)).manifest
    cached = tmp_path / "cache" / "runlogs" / manifest.id
    [part] = cached.iterdir()
    part.unlink()
    memory_store.put(f"runlogs/{manifest.id}/{part.name}", b"x" * manifest.files[0].size_bytes)
    broken = await caller.get(f"/v1/runlogs/{manifest.id}/diagnosis")
    assert (broken.status_code, broken.json()["error"]["reason"]) == (500, "CORRUPT_DATA")
    assert list(cached.iterdir()) == []


async def test_concurrent_imports_of_one_file_make_one_run_log(caller: httpx.AsyncClient) -> None:
    results = await asyncio.gather(*(imported(caller) for _ in range(6)))
    assert sorted(result.already_existed for result in results) == [False, *[True] * 5]
    assert len((await caller.get("/v1/runlogs")).json()["runlogs"]) == 1


async def test_a_long_name_is_refused(caller: httpx.AsyncClient) -> None:
    answer = await caller.post("/v1/runlogs", params={"name": "x" * 201}, content=jsonl([run()]))
    assert answer.status_code == 400


def test_parts_that_were_read_longest_ago_leave_the_cache_and_come_back(
    memory_store: MemoryObjectStore, tmp_path: Path
) -> None:
    cache = tmp_path / "cache" / "runlogs"
    repository = RunLogRepository(memory_store, tmp_path / "cache", tmp_path / "spool", CuratorMetrics(), cache_bytes=1)
    ids = []
    for number in range(OPEN_LOGS + 2):
        row = {"question_id": f"q{number}", "question": "?", "answer": "a", "retrieval_hit": True, "grade": "wrong"}
        ids.append(repository.ingest("n", iter([json.dumps(row).encode()])).manifest.id)
        os.utime(cache / ids[-1], (number, number))  # long ago
    repository.open(ids[-1])
    assert {path.name for path in cache.iterdir()} == {ids[-1]}
    assert repository.open(ids[0]).reader.rows == 1


async def test_rows_by_question_line_trace_and_user(caller: httpx.AsyncClient) -> None:
    lines = [run(f"q{n}", trace_id=f"t{n}", user_id="anna" if n % 2 else None) for n in range(4)]
    address = f"/v1/runlogs/{(await imported(caller, jsonl(lines))).manifest.id}/rows"
    for given, numbers in (
        ({"question": ["q3", "q0"]}, [1, 4]),
        ({"line": [2, 3, 99]}, [2, 3]),
        ({"trace": "t2"}, [3]),
        ({"user": "anna", "limit": 1}, [2]),
        ({"user": "anna", "line": [2, 3]}, [2]),
    ):
        page = (await caller.get(address, params=given)).json()
        assert page["line_numbers"] == numbers
        assert [row["question_id"] for row in page["rows"]] == [f"q{number - 1}" for number in numbers]
