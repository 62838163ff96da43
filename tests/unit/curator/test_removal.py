"""What the curator removes, and what it refuses to remove: by its calls, over lineage that is really there."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from burnish import layout
from burnish.digests import sha256_hex
from burnish.objectstores.memory import MemoryObjectStore
from burnish.registry.references import VERSION
from burnish_curator.app import Deps

LINES = [
    {
        "question_id": f"q{number}",
        "question": f"What is {number}?",
        "system_prompt": "Answer.",
        "evidence_text": "facts",
        "evidence_files": [f"{number}.md"],
        "answer": "no",
        "retrieval_hit": True,
        "grade": "wrong",
        "failure_label": "refusal",
    }
    for number in range(8)
]


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


@pytest.fixture
async def made(caller: httpx.AsyncClient) -> dict[str, str]:
    """Run log, benchmark and a dataset from both: their URLs."""
    imported = await caller.post("/v1/runlogs", params={"name": "log"}, content=jsonl(LINES))
    run_log_id = imported.json()["manifest"]["id"]
    questions = [
        {"question_id": f"b{n}", "prompt": f"Else {n}?", "expected_answer": "yes", "grader": {"name": "exact"}}
        for n in range(3)
    ]
    benchmark = (await caller.post("/v1/benchmarks", params={"name": "all"}, content=jsonl(questions))).json()
    review = (await caller.get(f"/v1/runlogs/{run_log_id}/review", params={"label": "refusal"})).text
    corrected = [orjson.loads(line) | {"corrected_output": "yes"} for line in review.splitlines()]
    await caller.post(f"/v1/runlogs/{run_log_id}/review", content=jsonl(corrected))
    spec = {
        "name": "fix", "run_log_id": run_log_id, "labels": ["refusal"], "benchmark": f"all/{benchmark['version']}"
    }  # fmt: skip
    built = await caller.post("/v1/datasets", json=spec)
    assert built.status_code == 200, built.text
    dataset = built.json()["version"]
    assert VERSION.fullmatch(dataset)
    return {
        "run log": f"/v1/runlogs/{run_log_id}",
        "review": f"/v1/runlogs/{run_log_id}/review",
        "benchmark": f"/v1/benchmarks/all/{benchmark['version']}",
        "dataset": f"/v1/datasets/fix/{dataset}",
    }


async def put_eval(caller: httpx.AsyncClient, dataset: str) -> str:
    """An eval that names a dataset among its parents."""
    await caller.put("/v1/evals/e1/base.jsonl", content=b"{}\n")
    entry = {"path": "base.jsonl", "size_bytes": 3, "sha256": sha256_hex(b"{}\n")}
    parents = [{"kind": "dataset", "name": "fix", "digest": dataset.rpartition("/")[2]}]
    body = {
        "id": "e1", "base_model": "b", "candidate_model": "c", "benchmark": "all/1", "verdict": "ship",
        "files": [entry], "parents": parents,
    }  # fmt: skip
    answer = await caller.post("/v1/evals", json=body)
    assert answer.status_code == 200, answer.text
    return "/v1/evals/e1"


async def refusal(caller: httpx.AsyncClient, url: str) -> str:
    answer = await caller.delete(url)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "HELD"), answer.text
    return str(answer.json()["error"]["message"])


async def test_lineage_is_removed_from_its_end_and_held_before_that(
    caller: httpx.AsyncClient, made: dict[str, str], deps: Deps
) -> None:
    evaluation = await put_eval(caller, made["dataset"])
    for thing in ("run log", "review", "benchmark"):
        assert "dataset fix@" in await refusal(caller, made[thing])
        assert (await caller.get(made[thing])).status_code == 200 or thing == "review"
    assert "eval e1" in await refusal(caller, made["dataset"])
    assert (await caller.delete(evaluation)).status_code == 204
    assert (await caller.get(evaluation)).status_code == 404
    assert (await caller.delete(made["dataset"])).status_code == 204
    assert (await caller.get(made["dataset"])).status_code == 404
    assert (await caller.delete(made["benchmark"])).status_code == 204
    assert (await caller.delete(made["review"])).json() == {"removed": len(LINES)}
    assert (await caller.delete(made["run log"])).status_code == 204
    assert (await caller.get(made["run log"])).status_code == 404
    assert (await caller.get(made["run log"] + "/rows")).status_code == 404
    assert list(deps.store.list("")) == []


async def test_a_dataset_takes_its_reference_log_probabilities_along(
    caller: httpx.AsyncClient, made: dict[str, str], memory_store: MemoryObjectStore
) -> None:
    def put_reference(digest: str, version: str) -> None:
        parents = [
            {"kind": "base_model", "name": "b", "digest": "d"},
            {"kind": "dataset", "name": "fix", "digest": version},
            {"kind": "job", "name": "job-1", "digest": "job-1"},
        ]
        memory_store.put(layout.reference(digest, "log-probabilities-1.jsonl"), b"[]\n")
        memory_store.put(layout.reference(digest), orjson.dumps({"parents": parents}))

    put_reference("mine", made["dataset"].rpartition("/")[2])
    put_reference("of-another", "0" * 16)
    memory_store.put(layout.reference("torn"), b"{")
    evaluation = await put_eval(caller, made["dataset"])
    await refusal(caller, made["dataset"])
    assert len(list(memory_store.list("references/mine/"))) == 2
    await caller.delete(evaluation)
    assert (await caller.delete(made["dataset"])).status_code == 204
    left = [info.key for info in memory_store.list("references/")]
    assert left == [
        layout.reference("of-another", "log-probabilities-1.jsonl"),
        layout.reference("of-another"),
        layout.reference("torn"),
    ]


async def test_an_eval_that_a_promotion_rests_on_is_held(
    caller: httpx.AsyncClient, made: dict[str, str], memory_store: MemoryObjectStore
) -> None:
    evaluation = await put_eval(caller, made["dataset"])
    change = {
        "name": "fix", "alias": "production", "number": 1, "action": "promote", "from_version": None,
        "to_version": "a" * 16, "eval_id": "e1", "verdict": "ship", "by": "ada",
    }  # fmt: skip
    alias = {"name": "fix", "version": "a" * 16, "change": change}
    memory_store.put(layout.alias("fix"), orjson.dumps(alias))
    assert "alias production of fix" in await refusal(caller, evaluation)


async def test_a_run_log_takes_its_corrections_along(caller: httpx.AsyncClient, made: dict[str, str]) -> None:
    await caller.delete(made["dataset"])
    assert (await caller.delete(made["run log"])).status_code == 204
    await caller.post(
        "/v1/runlogs", params={"name": "log"}, content=jsonl(LINES)
    )  # the same lines are the same run log
    review = (await caller.get(made["review"], params={"label": "refusal"})).text
    assert [orjson.loads(line)["corrected_output"] for line in review.splitlines()] == [""] * len(LINES)


@pytest.mark.parametrize(
    "url",
    ["/v1/runlogs/none", "/v1/datasets/fix/none", "/v1/datasets/fix/latest", "/v1/benchmarks/a/b", "/v1/evals/e9"],
)
async def test_what_is_not_there_is_404(caller: httpx.AsyncClient, url: str) -> None:
    assert (await caller.delete(url)).status_code == 404
