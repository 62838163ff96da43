"""The whole loop as a user runs it: every command of docs/walkthrough.md on the example that it names, with the same exit codes and words.

Real S3, gRPC, SmolLM2 and vLLM, in the stack of the session, which is up before and down after.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from e2e.command import Run
from e2e.console_blocks import steps
from e2e.walking import walk
from whole_stack import WholeStack

from burnish.schemas.evaluation import EXIT_CODES

REPO = Path(__file__).parents[2]
WALK = steps(REPO / "docs/walkthrough.md")
NAME = "tickets"  # what the page calls its run log, benchmark, dataset and adapter


@dataclass(frozen=True)
class Walked:
    """The folder that the commands ran in, and the command itself."""

    folder: Path
    burnish: Run

    def json(self, *words: str) -> Any:
        done = self.burnish(*words, "--json", cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    @property
    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "result/verdict.json").read_text())
        return found


def test_the_walk_covers_the_loop() -> None:
    nouns = [step.words[1] for step in WALK if step.words[0] == "burnish"]
    loop = ["up", "runs", "diagnose", "review", "dataset", "train", "jobs", "adapters", "eval", "verdict", "down"]
    assert [noun for noun in loop if noun not in nouns] == []


@pytest.fixture(scope="module")
def walked(whole_stack: WholeStack, stack: Run, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """After the last command of the page; each did what the page shows."""
    folder = tmp_path_factory.mktemp("walk") / "support-tickets"
    shutil.copytree(REPO / "examples/support-tickets", folder)
    walk(WALK, folder, stack, whole_stack.told_by_up)
    return Walked(folder, stack)


@pytest.mark.vllm
@pytest.mark.model
def test_the_failure_is_gone_on_questions_that_were_never_trained_on(walked: Walked) -> None:
    targeted = walked.verdict["targeted"]
    assert walked.verdict["verdict"] == "ship"
    assert targeted["n"] >= 12
    assert targeted["base"] <= 0.2
    assert targeted["delta"] > 0.5
    assert targeted["p_value"] < 0.01


@pytest.mark.vllm
@pytest.mark.model
def test_the_verdict_is_that_of_its_files_and_no_held_out_question_was_trained_on(walked: Walked) -> None:
    sides = ("--base", "result/base.jsonl", "--candidate", "result/candidate.jsonl")
    again = walked.burnish("verdict", *sides, "--json", cwd=walked.folder)
    decided, stored = json.loads(again.stdout), dict(walked.verdict)
    assert set(decided.pop("warnings")) <= set(stored.pop("warnings"))  # the eval adds what it knows of how it asked
    assert decided == stored
    assert again.returncode == EXIT_CODES[walked.verdict["verdict"]]
    held_out = {
        row["question_id"] for row in walked.rows("result/candidate.jsonl") if row["targeted"] and row["held_out"]
    }
    dataset = walked.json("dataset", "show", NAME)
    assert held_out == set(dataset["split"]["held_out"])
    exported = walked.burnish("dataset", "export", NAME, "--form", "openai-messages", cwd=walked.folder).stdout
    prompts = {
        row["question_id"]: json.dumps(prompt_of(row), ensure_ascii=False) for row in walked.rows("benchmark.jsonl")
    }
    assert all(prompts[question_id] in exported for question_id in dataset["split"]["train"])
    assert not any(prompts[question_id] in exported for question_id in held_out)


def prompt_of(question: dict[str, Any]) -> str:
    return str(question["prompt"] if "prompt" in question else question["messages"][-1]["content"])


@pytest.mark.vllm
@pytest.mark.model
def test_lineage_goes_from_the_adapter_to_the_run_log(walked: Walked) -> None:
    adapter = next(found for found in walked.json("adapters", "ls") if found["name"] == NAME)
    parents = {parent["kind"]: parent for parent in adapter["parents"]}
    dataset = walked.json("dataset", "show", f"{parents['dataset']['name']}@{parents['dataset']['digest']}")
    run_log = next(parent for parent in dataset["parents"] if parent["kind"] == "runlog")
    assert walked.json("runs", "show", run_log["digest"])["manifest"]["id"] == dataset["spec"]["run_log_id"]
    assert (walked.folder / "result/report.html").stat().st_size > 5_000
    postmortem = (walked.folder / "result/postmortem.md").read_text()
    assert all(f"## {number}. " in postmortem for number in range(1, 6))


@pytest.mark.vllm
@pytest.mark.model
def test_the_page_on_python_does_what_it_says(walked: Walked, whole_stack: WholeStack) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (REPO / "docs/sdk.md").read_text(), re.DOTALL | re.MULTILINE)
    (walked.folder / "sdk_page.py").write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, "sdk_page.py"],
        cwd=walked.folder,
        env=whole_stack.environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "from-python@" in done.stdout
    assert (walked.folder / "from-python/report.html").is_file()
