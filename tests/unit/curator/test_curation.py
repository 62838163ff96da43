"""Review, datasets, benchmarks and evals over HTTP."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest
from runlog_making import jsonl, repeated_failures

from burnish import layout
from burnish.curation.output.sealing import LEFT_OUT
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.dataset import DatasetManifest, LeftOut
from burnish.schemas.evaluation import EvalManifest
from burnish.schemas.runlog import ReviewImport, ReviewItem

LINES = repeated_failures({"not-json": 8, "rare": 2}, passing_questions=12)
FIELDS = [
    "question_id",
    "question",
    "evidence_files",
    "original_answer",
    "failure_label",
    "corrected_output",
    "expected_answer",
    "system_prompt",
    "slice",
    "earlier_correction",
    "state",
    "reason",
    "author",
    "version",
    "prompt_key",
    "suggestion",
    "suggested_by",
    "suggestion_grade",
    "answer_a",
    "answer_b",
    "preference",
]


@pytest.fixture
async def run_log(caller: httpx.AsyncClient) -> str:
    answer = await caller.post("/v1/runlogs", params={"name": "x"}, content=jsonl(LINES))
    run_log_id: str = answer.json()["manifest"]["id"]
    return run_log_id


async def review_file(caller: httpx.AsyncClient, run_log: str, *labels: str) -> list[dict[str, Any]]:
    answer = await caller.get(f"/v1/runlogs/{run_log}/review", params={"label": list(labels)})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def correct(caller: httpx.AsyncClient, run_log: str, prefix: str = "right") -> ReviewImport:
    items = [i | {"corrected_output": f"{prefix} {i['question_id']}"} for i in await review_file(caller, run_log)]
    answer = await caller.post(f"/v1/runlogs/{run_log}/review", content=jsonl(items))
    return ReviewImport.model_validate_json(answer.content)


def spec(run_log: str, **fields: Any) -> dict[str, Any]:
    return {"name": "fix", "run_log_id": run_log, "labels": ["not-json"]} | fields


async def build(caller: httpx.AsyncClient, run_log: str, **fields: Any) -> DatasetManifest:
    answer = await caller.post("/v1/datasets", json=spec(run_log, **fields))
    assert answer.status_code == 200, answer.text
    return DatasetManifest.model_validate_json(answer.content)


async def test_the_review_file_has_the_candidates_or_the_labels_asked_for(
    caller: httpx.AsyncClient, run_log: str
) -> None:
    items = await review_file(caller, run_log)
    assert len(items) == 8
    assert list(items[0]) == FIELDS
    assert ReviewItem.model_validate(items[0]).corrected_output == ""
    assert len(await review_file(caller, run_log, "rare", "not-json")) == 10
    unknown = await caller.get(f"/v1/runlogs/{run_log}/review", params={"label": "x"})
    assert (unknown.status_code, unknown.json()["error"]["reason"]) == (400, "INVALID_INPUT")


async def test_without_candidates_the_labels_must_be_named(caller: httpx.AsyncClient) -> None:
    answer = await caller.post("/v1/runlogs", params={"name": "x"}, content=jsonl(repeated_failures({"rare": 2})))
    refused = await caller.get(f"/v1/runlogs/{answer.json()['manifest']['id']}/review")
    assert refused.json()["error"]["reason"] == "PRECONDITION"
    assert "burnish diagnose" in refused.json()["error"]["message"]


async def test_the_newest_correction_stands(caller: httpx.AsyncClient, run_log: str) -> None:
    first = await correct(caller, run_log)
    assert (first.accepted, first.changed, first.empty, first.rejected_lines) == (8, 0, 0, [])
    again = await correct(caller, run_log)
    assert (again.accepted, again.changed) == (8, 0)
    other = await correct(caller, run_log, prefix="better")
    assert (other.accepted, other.changed) == (8, 8)
    assert (await review_file(caller, run_log))[0]["corrected_output"] == "better not-json-000"


async def test_an_emptied_correction_is_taken_back(caller: httpx.AsyncClient, run_log: str) -> None:
    await correct(caller, run_log)
    items = await review_file(caller, run_log)
    items[0]["corrected_output"] = ""
    answer = await caller.post(f"/v1/runlogs/{run_log}/review", content=jsonl(items))
    assert (answer.json()["accepted"], answer.json()["empty"], answer.json()["removed"]) == (7, 1, 1)
    assert [item["corrected_output"] for item in await review_file(caller, run_log)].count("") == 1


async def test_a_dataset_says_what_its_corrections_took(caller: httpx.AsyncClient, run_log: str) -> None:
    for item in await review_file(caller, run_log):
        decision = {"question_id": item["question_id"], "state": "corrected", "output": "right", "author": "mia"}
        answer = await caller.post(f"/v1/runlogs/{run_log}/review/decisions", json=decision | {"seconds": 3.0})
        assert answer.json()["sequence"] > 0
    manifest = await build(caller, run_log)
    used = len(manifest.split.train) + len(manifest.split.validation)
    assert manifest.review is not None
    assert manifest.review.model_dump() == {"items": used, "seconds": 3.0 * used, "reviewers": 1}


async def test_a_file_does_not_overwrite_what_somebody_decided_since(caller: httpx.AsyncClient, run_log: str) -> None:
    """The line is named with who and when; one's own decision, and one without a version, are replaced."""
    address = f"/v1/runlogs/{run_log}/review"
    items = (await review_file(caller, run_log))[:3]
    for item, author in zip(items, ("tom", "mia", "tom"), strict=True):
        decision = {"question_id": item["question_id"], "state": "dismissed", "reason": "vague", "author": author}
        await caller.post(f"{address}/decisions", json=decision | {"version": 0})
    late = await caller.post(f"{address}/decisions", json=decision | {"reason": "other", "author": "mia", "version": 0})
    assert (late.status_code, late.json()["error"]["metadata"]["author"]) == (409, "tom")
    filled = [item | {"corrected_output": "right"} for item in items]
    filled[2].pop("version")
    answer = (await caller.post(address, params={"author": "mia"}, content=jsonl(filled))).json()
    assert (answer["accepted"], len(answer["rejected_lines"])) == (2, 1)
    assert answer["rejected_lines"][0]["line_number"] == 1
    assert answer["rejected_lines"][0]["reason"].startswith("tom dismissed it at ")
    undone = await caller.post(f"{address}/undo", json={"author": "mia"})
    assert undone.json() == {"questions": 2, "left": 0}
    events = (await caller.get(f"{address}/history", params={"limit": 3})).json()
    assert len(events["events"]) == 3
    assert events["next_before"] == events["events"][-1]["sequence"]


async def test_slices_are_asked_for_by_name(caller: httpx.AsyncClient, run_log: str) -> None:
    found = await caller.get(f"/v1/runlogs/{run_log}/diagnosis", params={"slice": "(none)"})
    assert found.json()["passing"] == 0
    unknown = await caller.get(f"/v1/runlogs/{run_log}/review", params={"label": "not-json", "slice": "x"})
    assert (unknown.status_code, "no run has the slice 'x'" in unknown.text) == (400, True)


async def test_a_bad_review_line_keeps_the_good_ones(caller: httpx.AsyncClient, run_log: str) -> None:
    items = [i | {"corrected_output": "right"} for i in await review_file(caller, run_log)]
    body = jsonl(items[:2]) + b"nonsense\n" + jsonl([items[2] | {"question_id": "nobody"}])
    answer = ReviewImport.model_validate_json(
        (await caller.post(f"/v1/runlogs/{run_log}/review", content=body)).content
    )
    assert (answer.accepted, [r.line_number for r in answer.rejected_lines]) == (2, [3, 4])


async def test_build_list_show_export(caller: httpx.AsyncClient, run_log: str) -> None:
    await correct(caller, run_log)
    manifest = await build(caller, run_log)
    assert manifest.counts.held_out == 2
    assert await build(caller, run_log) == manifest
    other = await build(caller, run_log, format="dpo")
    assert [d["version"] for d in (await caller.get("/v1/datasets/fix")).json()["datasets"]] == [
        other.version,
        manifest.version,
    ]
    assert len((await caller.get("/v1/datasets")).json()["datasets"]) == 2
    assert (await caller.get("/v1/datasets/other")).json() == {"datasets": [], "broken": [], "next_page_token": ""}
    for version, expected in ((manifest.version, manifest), ("latest", other)):
        shown = await caller.get(f"/v1/datasets/fix/{version}")
        assert DatasetManifest.model_validate_json(shown.content) == expected
    lines = (
        await caller.get(f"/v1/datasets/fix/{manifest.version}/export", params={"form": "openai-messages"})
    ).text.splitlines()
    assert len(lines) == manifest.counts.train
    assert list(json.loads(lines[0])) == ["messages"]
    validation = await caller.get("/v1/datasets/fix/latest/export", params={"form": "dpo", "split": "validation"})
    assert len(validation.text.splitlines()) == other.counts.validation
    impossible = await caller.get(f"/v1/datasets/fix/{manifest.version}/export", params={"form": "dpo"})
    assert (impossible.status_code, "--format dpo" in impossible.text) == (400, True)


async def test_what_was_left_out_is_told_by_row(
    caller: httpx.AsyncClient, run_log: str, memory_store: MemoryObjectStore
) -> None:
    await correct(caller, run_log)
    items = [item for item in await review_file(caller, run_log) if item["corrected_output"]]
    emptied = items[0] | {"corrected_output": ""}
    await caller.post(f"/v1/runlogs/{run_log}/review", content=jsonl([emptied]))
    manifest = await build(caller, run_log)
    answer = await caller.get("/v1/datasets/fix/latest/left-out")
    lines = [LeftOut.model_validate_json(line) for line in answer.text.splitlines()]
    assert [(line.question_id, line.reason) for line in lines] == [(emptied["question_id"], "no correction")]
    before = manifest.model_copy(
        update={"version": "1" * 16, "files": [e for e in manifest.files if e.path != LEFT_OUT]}
    )
    memory_store.put(layout.dataset("fix", "1" * 16), before.model_dump_json().encode())
    old = await caller.get(f"/v1/datasets/fix/{'1' * 16}/left-out")
    assert (old.status_code, "build it again" in old.text) == (404, True)


async def test_build_and_export_of_judged_answers(caller: httpx.AsyncClient, run_log: str) -> None:
    """Two rows a correction, and the same questions held out as in the other formats."""
    await correct(caller, run_log)
    paired, manifest = await build(caller, run_log, format="dpo"), await build(caller, run_log, format="kto")
    assert manifest.split.held_out == paired.split.held_out
    counts = manifest.counts
    assert counts.train + counts.validation == 2 * counts.corrections + counts.anchors
    lines = (await caller.get("/v1/datasets/fix/latest/export", params={"form": "kto"})).text.splitlines()
    assert len(lines) == counts.train
    assert {frozenset(json.loads(line)) for line in lines} == {frozenset({"prompt", "completion", "label"})}
    impossible = await caller.get("/v1/datasets/fix/latest/export", params={"form": "openai-messages"})
    assert (impossible.status_code, "export it as kto" in impossible.text) == (400, True)


@pytest.mark.parametrize(
    ("fields", "status", "reason", "message"),
    [
        ({}, 400, "PRECONDITION", "burnish review export"),
        ({"labels": ["x"]}, 400, "INVALID_INPUT", "it has not-json, rare"),
        ({"labels": []}, 400, "INVALID_INPUT", "body.labels"),
        ({"name": "../x"}, 400, "INVALID_INPUT", "name '../x'"),
        ({"run_log_id": "nothing"}, 404, "NOT_FOUND", "no run log 'nothing'"),
        ({"benchmark": "b"}, 400, "INVALID_INPUT", "give name/version"),
        ({"benchmark": "b/1"}, 404, "NOT_FOUND", "no benchmark 'b/1'"),
        ({"anchor_ration": 1}, 400, "INVALID_INPUT", "anchor_ration: Extra inputs"),
    ],
)
async def test_a_dataset_that_cannot_be_built(
    caller: httpx.AsyncClient, run_log: str, fields: dict[str, Any], status: int, reason: str, message: str
) -> None:
    answer = await caller.post("/v1/datasets", json=spec(run_log, **fields))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/datasets/x/latest", "/v1/datasets/x/1", "/v1/datasets/x/1/export?form=dpo"])
async def test_an_unknown_dataset_is_not_found(caller: httpx.AsyncClient, path: str) -> None:
    answer = await caller.get(path)
    assert (answer.status_code, "burnish dataset ls" in answer.text) == (404, True)


def question(question_id: str, prompt: str = "Why?") -> dict[str, Any]:
    return {"question_id": question_id, "prompt": prompt, "expected_answer": "x", "grader": {"name": "exact"}}


async def test_benchmarks(caller: httpx.AsyncClient) -> None:
    made = await caller.post("/v1/benchmarks", params={"name": "b"}, content=jsonl([question("q1"), question("q2")]))
    manifest = made.json()
    assert manifest["questions"] == 2
    again = await caller.post("/v1/benchmarks", params={"name": "b"}, content=jsonl([question("q1"), question("q2")]))
    assert again.json() == manifest
    assert (await caller.get("/v1/benchmarks")).json() == {
        "benchmarks": [manifest],
        "broken": [],
        "next_page_token": "",
    }
    for version in (manifest["version"], "latest"):
        assert (await caller.get(f"/v1/benchmarks/b/{version}")).json() == manifest
    questions = (await caller.get("/v1/benchmarks/b/latest/questions")).text.splitlines()
    assert [json.loads(line)["question_id"] for line in questions] == ["q1", "q2"]
    bad = await caller.post("/v1/benchmarks", params={"name": "b"}, content=jsonl([question("q1"), question("q1")]))
    assert "line 2" in bad.json()["error"]["message"]
    assert (await caller.get("/v1/benchmarks/b/none/questions")).status_code == 404


@pytest.mark.parametrize("kind", ["benchmarks", "datasets"])
async def test_content_overwritten_together_with_its_manifest_is_refused(
    caller: httpx.AsyncClient, run_log: str, memory_store: MemoryObjectStore, kind: str
) -> None:
    await correct(caller, run_log)
    if kind == "datasets":
        good, other = await build(caller, run_log), await build(caller, run_log, seed=5)
        name, versions, asked = "fix", (good.version, other.version), "export?form=openai-messages"
        files = ("train.jsonl", "validation.jsonl", "manifest.json")
    else:
        made = [
            (await caller.post("/v1/benchmarks", params={"name": "b"}, content=jsonl([question(q)]))).json()
            for q in ("q1", "q2")
        ]
        name, versions, asked = "b", (made[0]["version"], made[1]["version"]), "questions"
        files = ("questions.jsonl", "manifest.json")
    for path in files:
        content = memory_store.get(f"{kind}/{name}/{versions[1]}/{path}").replace(
            f'"version": "{versions[1]}"'.encode(), f'"version": "{versions[0]}"'.encode()
        )
        memory_store.put(f"{kind}/{name}/{versions[0]}/{path}", content)
    refused = await caller.get(f"/v1/{kind}/{name}/{versions[0]}/{asked}")
    assert refused.status_code == 500, refused.text
    assert f"the stored content is version {versions[1]}, not {versions[0]}" in refused.text


async def test_a_benchmark_guards_the_build(caller: httpx.AsyncClient, run_log: str) -> None:
    await correct(caller, run_log)
    trained = (await build(caller, run_log)).split.train[0]
    made = await caller.post(
        "/v1/benchmarks", params={"name": "b"}, content=jsonl([question("other", f"What is {trained}?")])
    )
    refused = await caller.post("/v1/datasets", json=spec(run_log, benchmark=f"b/{made.json()['version']}"))
    assert (refused.status_code, refused.json()["error"]["reason"]) == (400, "LEAKAGE")
    assert refused.json()["error"]["metadata"]["question_ids"] == trained


def eval_manifest(eval_id: str = "e1", **files: bytes) -> str:
    entries = [
        {"path": name.replace("_", "."), "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    ]
    manifest = EvalManifest.model_validate(
        {
            "id": eval_id,
            "base_model": "base",
            "candidate_model": "fix",
            "benchmark": "b/1",
            "verdict": "ship",
            "files": entries,
            "created_at": "2026-11-01T00:00:00Z",
        }
    )
    return manifest.model_dump_json()


async def test_an_eval_is_its_files_and_then_its_manifest(
    caller: httpx.AsyncClient, memory_store: MemoryObjectStore
) -> None:
    async def put(data: bytes) -> int:
        return (await caller.put("/v1/evals/e1/report.html", content=data)).status_code

    sealed = eval_manifest(report_html=b"<p>new</p>")
    missing = await caller.post("/v1/evals", content=sealed, headers={"Content-Type": "application/json"})
    assert (missing.status_code, missing.json()["error"]["reason"]) == (400, "PRECONDITION")
    assert [await put(b"<p>old</p>")] == [204]
    other = await caller.post("/v1/evals", content=sealed, headers={"Content-Type": "application/json"})
    assert "is not what the manifest says" in other.json()["error"]["message"]
    assert (await caller.get("/v1/evals")).json() == {"evals": [], "broken": [], "next_page_token": ""}
    assert (await caller.get("/v1/evals/e1/report.html")).status_code == 404
    assert await put(b"<p>new</p>") == 204
    for _ in range(2):
        made = await caller.post("/v1/evals", content=sealed, headers={"Content-Type": "application/json"})
        assert made.json() == json.loads(sealed)
    assert (await caller.get("/v1/evals")).json() == {
        "evals": [json.loads(sealed)],
        "broken": [],
        "next_page_token": "",
    }
    assert (await caller.get("/v1/evals/e1")).json() == json.loads(sealed)
    report = await caller.get("/v1/evals/e1/report.html")
    assert (report.content, report.headers["content-security-policy"]) == (b"<p>new</p>", "sandbox allow-scripts")
    assert await put(b"<p>new</p>") == 204
    assert await put(b"<p>forged</p>") == 409
    changed = sealed.replace('"ship"', '"stop"')
    conflict = await caller.post("/v1/evals", content=changed, headers={"Content-Type": "application/json"})
    assert (conflict.status_code, conflict.json()["error"]["reason"]) == (409, "ALREADY_EXISTS")
    assert memory_store.get("evals/e1/report.html") == b"<p>new</p>"


@pytest.mark.parametrize("path", ["/v1/evals/E1/base.jsonl", "/v1/evals/e1/manifest.json", "/v1/evals/e1/.hidden"])
async def test_an_eval_file_must_have_a_plain_name(caller: httpx.AsyncClient, path: str) -> None:
    assert (await caller.put(path, content=b"x")).status_code == 400
