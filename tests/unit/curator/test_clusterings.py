"""Clusterings over HTTP: made, edited, put to use by diagnosis, review and datasets, held and removed."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from cluster_making import planted
from runlog_making import run

from burnish import layout
from burnish.objectstores.memory import MemoryObjectStore

MADE = planted("held", 120, seed=4)


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


LINES = [
    {
        "question_id": f"q{number}",
        "question": each.question,
        "answer": each.answer,
        "grade": "wrong",
        "run_id": "r1",
    }
    for number, each in enumerate(MADE)
]


@pytest.fixture
async def log(caller: httpx.AsyncClient) -> str:
    """URL of a run log whose failures have no labels."""
    imported = await caller.post("/v1/runlogs", params={"name": "log"}, content=jsonl(LINES))
    return f"/v1/runlogs/{imported.json()['manifest']['id']}"


async def ok(answer: Any) -> Any:
    answer = await answer
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_from_an_unlabelled_log_to_a_dataset_of_a_cluster(
    caller: httpx.AsyncClient, log: str, memory_store: MemoryObjectStore
) -> None:
    before = await ok(caller.get(f"{log}/diagnosis"))
    assert [cluster["label"] for cluster in before["clusters"]] == ["(unlabelled)"]
    lines = (await caller.get(f"{log}/lines")).content

    made = await ok(caller.post(f"{log}/clusterings", json={}))
    assert made == await ok(caller.post(f"{log}/clusterings", json={}))
    assert made["lines"] == len(LINES)
    assert made["embedder"]["digest"].startswith("sha256:")
    largest = made["clusters"][0]
    after = await ok(caller.get(f"{log}/diagnosis"))
    sizes = {cluster["label"]: cluster["size"] for cluster in after["clusters"]}
    assert sizes.pop("(unlabelled)", 0) == made["alone"]
    assert sizes == {cluster["name"]: cluster["size"] for cluster in made["clusters"]}
    assert (await caller.get(f"{log}/lines")).content == lines

    edit = {"kind": "rename", "clusters": [largest["name"]], "name": "my failures"}
    renamed = await ok(caller.post(f"{log}/clusterings/{made['version']}/edits", json=edit))
    assert renamed["version"] != made["version"]
    assert ("clustering", made["version"]) in [(p["kind"], p["digest"]) for p in renamed["parents"]]
    late = await caller.post(f"{log}/clusterings/{made['version']}/edits", json=edit)
    assert late.status_code == 409
    assert renamed["version"] in late.json()["error"]["message"]

    rows = await ok(caller.get(f"{log}/rows", params={"label": "my failures", "limit": 1000}))
    assert rows["total"] == largest["size"]
    review = (await caller.get(f"{log}/review", params={"label": "my failures"})).text.splitlines()
    corrected = [orjson.loads(line) | {"corrected_output": "right"} for line in review]
    assert {item["failure_label"] for item in corrected} == {"my failures"}
    done = await ok(caller.post(f"{log}/review", content=jsonl(corrected)))
    assert done["accepted"] == len(corrected)
    spec = {"name": "fix", "run_log_id": log.rpartition("/")[2], "labels": ["my failures"]}
    dataset = await ok(caller.post("/v1/datasets", json=spec))
    assert dataset["spec"]["clustering"] == renamed["version"]
    assert dataset == await ok(caller.post("/v1/datasets", json=spec))

    held = await caller.delete(f"{log}/clusterings/{renamed['version']}")
    assert held.status_code == 400
    assert f"dataset fix@{dataset['version']}" in held.json()["error"]["message"]
    assert (await caller.delete(f"/v1/datasets/fix/{dataset['version']}")).status_code == 204
    assert (await caller.delete(f"{log}/clusterings/{renamed['version']}")).status_code == 204
    again = await ok(caller.get(f"{log}/diagnosis"))
    assert largest["name"] in [cluster["label"] for cluster in again["clusters"]]
    assert (await caller.delete(log)).status_code == 204
    assert list(memory_store.list(layout.CLUSTERINGS)) == []


async def test_split_and_merge_undo_each_other_and_a_later_log_takes_the_names(
    caller: httpx.AsyncClient, log: str
) -> None:
    made = await ok(caller.post(f"{log}/clusterings", json={}))
    name = made["clusters"][0]["name"]
    url = f"{log}/clusterings/latest/edits"
    parts = await ok(caller.post(url, json={"kind": "split", "clusters": [name], "parts": 2}))
    new = [c["name"] for c in parts["clusters"] if c["name"] not in {each["name"] for each in made["clusters"]}]
    assert len(parts["clusters"]) == len(made["clusters"]) + 1
    whole = await ok(caller.post(url, json={"kind": "merge", "clusters": [name, *new][-2:], "name": "whole"}))
    assert {c["size"] for c in whole["clusters"] if c["name"] == "whole"} == {made["clusters"][0]["size"]}

    later = [
        {**line, "question_id": f"l{number}", "question": each.question, "answer": each.answer}
        for number, (line, each) in enumerate(zip(LINES, planted("held", 60, seed=8), strict=False))
    ]
    imported = await ok(caller.post("/v1/runlogs", params={"name": "later"}, content=jsonl(later)))
    second = f"/v1/runlogs/{imported['manifest']['id']}/clusterings"
    placed = await ok(caller.post(second, json={"like": log.rpartition("/")[2]}))
    known = [c for c in placed["clusters"] if c["known"]]
    assert sum(c["size"] for c in known) > 40
    assert {c["name"] for c in known} <= {c["name"] for c in whole["clusters"]}
    listed = await ok(caller.get(f"{log}/clusterings"))
    assert next(c["version"] for c in listed["clusterings"]) == whole["version"]


async def test_without_a_failure_to_cluster_there_is_no_text_to_embed(caller: httpx.AsyncClient) -> None:
    imported = await ok(caller.post("/v1/runlogs", params={"name": "labelled"}, content=jsonl([run("q1")])))
    texts = await caller.get(f"/v1/runlogs/{imported['manifest']['id']}/clusterings/texts")
    assert (texts.status_code, texts.content) == (200, b"")


async def test_what_cannot_be_done_says_why(caller: httpx.AsyncClient, log: str) -> None:
    unknown = await caller.post(f"{log}/clusterings", json={"labels": ["nope"]})
    assert (unknown.status_code, "no line has the failure label 'nope'" in unknown.text) == (400, True)
    nothing = await caller.get(f"{log}/clusterings/latest")
    assert (nothing.status_code, "burnish clusters ls" in nothing.text) == (404, True)
    like = await caller.post(f"{log}/clusterings", json={"like": "0123456789abcdef"})
    assert like.status_code == 404


@pytest.mark.parametrize(
    "body",
    [b'{"seed": -1}', b'{"seed": 1000000000000000000000000}', b'{"labels": ["\\ud800"]}', b'{"like": "a\\u0000b"}'],
)
async def test_a_spec_that_nothing_could_be_made_by_is_refused(
    caller: httpx.AsyncClient, log: str, body: bytes
) -> None:
    answer = await caller.post(f"{log}/clusterings", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
