"""`burnish train` and `burnish jobs` against a stack that runs: preflight, queue, worker and checkpoints are the real ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from integration.client.homes import Here, until

from burnish_client import CuratorClient

SMALL = ["--rank", "4", "--batch-size", "2", "--max-steps", "2", "--evaluation-interval-steps", "1"]


@pytest.fixture
def dataset(run: Here, tmp_path: Path) -> Callable[..., str]:
    """Makes a dataset of ten corrected tickets; `answer` says what a ticket's correction is."""

    def build(name: str, answer: Callable[[int], str]) -> str:
        lines = []
        for number in range(16):
            failed = number < 12
            lines.append(
                {
                    "question_id": f"t{number}",
                    "question": f"Ticket {number}: {'the printer' if number % 2 else 'my screen'} at desk {number} is dark.",
                    "answer": "Sorry to hear that!" if failed else f'{{"desk": {number}}}',
                    "expected_answer": f'{{"desk": {number}}}',
                    "retrieval_hit": True,
                    "grade": "wrong" if failed else "correct",
                    "failure_label": "not_json" if failed else None,
                    "run_id": name,
                }
            )
        log = tmp_path / f"{name}.jsonl"
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert run("runs", "import", str(log)).returncode == 0
        exported = run("review", "export", name, "--label", "not_json")
        items = [json.loads(line) for line in exported.stdout.splitlines()]
        review = tmp_path / f"{name}.review.jsonl"
        corrected = [item | {"corrected_output": answer(int(item["question_id"][1:]))} for item in items]
        review.write_text("".join(json.dumps(item) + "\n" for item in corrected))
        assert run("review", "import", str(review), "--run-log", name).returncode == 0
        built = run("dataset", "build", name, "--run-log", name, "--label", "not_json", "--seed", "3")
        assert built.returncode == 0, built.stderr
        return name

    return build


def test_a_run_from_dry_run_to_a_published_checkpoint(run: Here, dataset: Callable[..., str]) -> None:
    name = dataset("desk-tickets", lambda number: f'{{"desk": {number}}}')
    command = ["train", "sft", "--dataset", name, *SMALL]
    dry = run(*command, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout.startswith("fit to run sft on desk-tickets@")
    assert all(len(line) <= 80 for line in dry.stdout.splitlines())
    assert "2 steps" in dry.stdout
    assert "dataset-warning" in dry.stdout
    preview = run.json(*command, "--dry-run")
    assert preview["estimate"]["steps"] == 2
    assert run.json("jobs", "ls", "--adapter", name) == []

    done = run(*command, "--follow", "--priority", "3", "--label", "by=test")
    assert done.returncode == 0, done.stderr
    before_it_starts = done.stderr[: done.stderr.index("queued")]
    assert re.search(r"warning: With \d+ held-out targeted questions and \d+ others", before_it_starts)
    assert "will get the verdict inconclusive" in before_it_starts
    assert "more questions outside the target" in before_it_starts
    assert done.stderr.count("will get the verdict inconclusive") == 1
    (job,) = run.json("jobs", "ls", "--label", "by=test")
    assert (job["state"], job["priority"]) == ("STATE_SUCCEEDED", 3)
    assert job["measured"]["seconds"] > 0
    text = run("jobs", "show", job["job_id"]).stdout
    assert "estimated  measured" in text
    rows = run.json("jobs", "metrics", job["job_id"])
    assert [row["step"] for row in rows] == [1, 2]
    assert all(row["train_loss"] > 0 for row in rows)
    kept = run.json("jobs", "checkpoints", job["job_id"])
    assert [checkpoint["step"] for checkpoint in kept] == [1, 2]
    published = [run.json("jobs", "publish", job["job_id"], "--step", step) for step in ("1", "2")]
    assert {version["name"] for version in published} == {name}
    versions = [version["version"] for version in published]
    assert versions[0] != versions[1]
    assert job["adapter"]["version"] in versions, "the best one"


def test_a_run_that_cannot_succeed_is_refused_before_it_costs_anything(run: Here, dataset: Callable[..., str]) -> None:
    name = dataset("long-tickets", lambda number: f'{{"desk": {number}, "why": "{"dark " * 60}"}}')
    command = ["train", "sft", "--dataset", name, "--max-length", "64", *SMALL]
    dry = run(*command, "--dry-run")
    assert dry.returncode == 1, dry.stdout
    assert "refused completion-cut" in dry.stdout
    assert "rows t" in dry.stdout
    assert run.json("jobs", "ls", "--adapter", name) == []
    followed = run(*command, "--follow", "--json")
    assert (followed.returncode, followed.stdout != "") == (1, True), followed.stderr
    job = json.loads(followed.stdout)
    assert (job["state"], job.get("attempts", 0)) == ("STATE_FAILED", 0)
    assert "completion-cut" in {finding["code"] for finding in job["findings"]}
    unknown = run(*command, "--accept", "made-up")
    assert unknown.returncode == 2
    assert "docs/preflight.md" in unknown.stderr


def test_a_job_whose_dataset_is_deleted_fails_and_says_so(run: Here, dataset: Callable[..., str]) -> None:
    name = dataset("gone-tickets", lambda number: f'{{"desk": {number}}}')
    version = run.json("dataset", "show", name)["version"]
    job_id = run.json("train", "sft", "--dataset", name, *SMALL)["job_id"]
    run("jobs", "pause", job_id)
    held = run("dataset", "rm", f"{name}@{version}")
    assert (held.returncode, job_id in held.stderr) == (1, True), held.stderr
    with CuratorClient.from_settings() as curator:  # which does not know the trainer's queue
        curator.remove_dataset(name, version)
    assert run("jobs", "resume", job_id).returncode == 0
    until(lambda: run.json("jobs", "show", job_id)["state"] == "STATE_FAILED", limit_seconds=180)
    assert f"there is no dataset {name}@{version}" in run.json("jobs", "show", job_id)["error"]["message"]


def test_a_job_that_waits_is_paused_resumed_and_cancelled(run: Here, dataset: Callable[..., str]) -> None:
    name = dataset("paused-tickets", lambda number: f'{{"desk": {number}}}')
    job_id = run.json("train", "sft", "--dataset", name, *SMALL, "--max-steps", "400")["job_id"]
    paused = run("jobs", "pause", job_id)
    assert paused.stdout == f"{job_id} is paused\n", paused.stderr
    assert run("jobs", "resume", job_id).returncode == 0

    def state() -> Any:
        return run.json("jobs", "show", job_id)["state"]

    until(lambda: state() == "STATE_RUNNING", limit_seconds=180)
    assert run("jobs", "pause", job_id).stdout == f"{job_id} is paused\n"
    assert run("jobs", "cancel", job_id).stdout == f"{job_id} is cancelled\n"
