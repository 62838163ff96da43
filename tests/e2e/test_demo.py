"""The main job on a small slice, through the command line alone: real S3, gRPC, SmolLM2 and vLLM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from e2e.command import Run

from burnish.schemas.evaluation import EXIT_CODES


@pytest.fixture(scope="module")
def demo(stack: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What `burnish demo --small` printed, and the folder it filled. It ran on the stack that was up."""
    out = tmp_path_factory.mktemp("demo")
    done = stack("demo", "--small", "--seed", "3", "--out", str(out))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout, out


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def newest_of_demo(stack: Run, noun: str) -> dict[str, Any]:
    """The newest dataset or adapter that the demo named."""
    found = json.loads(stack(noun, "ls", "--json").stdout)
    return next(item for item in found if item["name"].startswith("fix-"))


@pytest.mark.vllm
@pytest.mark.model
@pytest.mark.timeout(900)
def test_the_failure_is_gone_where_nothing_was_trained_on(demo: tuple[str, Path]) -> None:
    _, out = demo
    verdict = json.loads((out / "verdict.json").read_text())
    targeted = verdict["targeted"]
    assert targeted["n"] >= 8
    assert targeted["base"] <= 0.2
    assert targeted["delta"] > 0.3
    assert targeted["p_value"] < 0.05


@pytest.mark.vllm
@pytest.mark.model
@pytest.mark.timeout(900)
def test_what_it_shows_is_what_its_files_say(demo: tuple[str, Path], stack: Run) -> None:
    """The verdict recomputed from the two row files is the one shown; held-out questions are in no training row."""
    printed, out = demo
    again = stack("verdict", "--base", str(out / "base.jsonl"), "--candidate", str(out / "candidate.jsonl"), "--json")
    verdict = json.loads(again.stdout)
    assert again.returncode == EXIT_CODES[verdict["verdict"]]
    assert verdict == json.loads((out / "verdict.json").read_text())
    assert verdict["verdict"] in printed
    held_out = {r["question_id"] for r in rows(out / "candidate.jsonl") if r["targeted"] and r["held_out"]}
    dataset = newest_of_demo(stack, "dataset")
    assert held_out == set(dataset["split"]["held_out"])
    exported = stack("dataset", "export", f"{dataset['name']}@{dataset['version']}", "--form", "openai-messages").stdout
    prompts = {
        r["question_id"]: json.dumps(r["messages"][-1]["content"], ensure_ascii=False)
        for r in rows(out / "benchmark.jsonl")
    }
    assert all(prompts[question_id] in exported for question_id in dataset["split"]["train"])
    assert not any(prompts[question_id] in exported for question_id in held_out)


@pytest.mark.vllm
@pytest.mark.model
@pytest.mark.timeout(900)
def test_lineage_walks_from_the_verdict_to_the_run_log(demo: tuple[str, Path], stack: Run) -> None:
    adapter = newest_of_demo(stack, "adapters")
    parents = {parent["kind"]: parent for parent in adapter["parents"]}
    dataset = json.loads(
        stack("dataset", "show", f"{parents['dataset']['name']}@{parents['dataset']['digest']}", "--json").stdout
    )
    run_log = next(parent for parent in dataset["parents"] if parent["kind"] == "runlog")
    shown = json.loads(stack("runs", "show", run_log["digest"], "--json").stdout)
    assert shown["manifest"]["id"] == dataset["spec"]["run_log_id"]
    assert (demo[1] / "report.html").stat().st_size > 5_000
    postmortem = (demo[1] / "postmortem.md").read_text()
    assert all(f"## {number}. " in postmortem for number in range(1, 6))
