"""The whole loop with a model that a provider trains: from a run log to a verdict that names the provider, and what `status` says of the bill.

The stack is the session's; the provider is a fake on loopback, which the trainer speaks to by the real SDK and the eval client over HTTP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adapter_making import adapter_files, arrays_for
from hosted_fakes.openai_chat import ChattingOpenAI, Rows
from hosted_fakes.together_tuning import TogetherTuning
from integration.client.homes import Here, until
from whole_stack import WholeStack

from burnish.adapters.base import BaseModel
from burnish_client.sdk.curator import CuratorClient

LABEL = "not_json"


def question(name: str, number: int, targeted: int) -> dict[str, Any]:
    """The first `targeted` ask for JSON, the others for a word. name: makes the texts those of one test."""
    as_json = number < targeted
    expected = json.dumps({"file": f"m{number}.py"}) if as_json else f"m{number}.py"
    return {
        "question_id": f"q{number}",
        "prompt": f"{name} as {'JSON' if as_json else 'a word'}: {number}",
        "expected_answer": expected,
        "grader": {"name": "json_fields", "args": {"fields": {"file": "exact"}}} if as_json else {"name": "contains"},
        "slice": "json" if as_json else "word",
    }


def say(prompt: str, rows: Rows) -> str:
    """In prose; a model that was tuned on answers in JSON gives JSON where it is asked for."""
    form, _, number = prompt.rpartition(": ")
    taught = any(row["messages"][-1]["content"].startswith("{") for row in rows)
    return json.dumps({"file": f"m{number}.py"}) if taught and form.endswith("as JSON") else f"It is in m{number}.py."


def fill(run: Here, name: str, targeted: int, rest: int) -> None:
    """A benchmark, a run log of the provider's base that fails on the targeted questions twice, and their corrections."""
    questions = [question(name, number, targeted) for number in range(targeted + rest)]
    lines = [
        {
            "question_id": asked["question_id"],
            "question": asked["prompt"],
            "answer": say(asked["prompt"], []),
            "expected_answer": asked["expected_answer"],
            "retrieval_hit": True,
            "grade": "wrong" if asked["slice"] == "json" else "correct",
            "failure_label": LABEL if asked["slice"] == "json" else None,
            "run_id": again,
        }
        for again in ("r1", "r2")
        for asked in questions
    ]
    for file, rows in ((f"{name}.jsonl", questions), (f"{name}-runs.jsonl", lines)):
        Path(file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    succeeds(run, "benchmark", "import", f"{name}.jsonl")
    succeeds(run, "runs", "import", f"{name}-runs.jsonl")
    exported = succeeds(run, "review", "export", f"{name}-runs", "--label", LABEL)
    items = [json.loads(line) for line in exported.splitlines()]
    corrected = [item | {"corrected_output": item["expected_answer"]} for item in items]
    Path("review.jsonl").write_text("".join(json.dumps(item) + "\n" for item in corrected))
    succeeds(run, "review", "import", "review.jsonl", "--run-log", f"{name}-runs")


def build(run: Here, name: str) -> str:
    """NAME@VERSION of the dataset of what was filled in."""
    words = ("--run-log", f"{name}-runs", "--label", LABEL, "--benchmark", name)
    return f"{name}@{run.json('dataset', 'build', name, *words)['version']}"


def succeeds(run: Here, *words: str) -> str:
    done = run(*words)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture
def provider(whole_stack: WholeStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ChattingOpenAI]:
    """With nothing in it; this machine has its key and its address."""
    server = whole_stack.openai
    server.answers, server.asked = (fake := ChattingOpenAI(say)), []
    for name, value in fake.access(server.url, fake.token).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield fake
    server.faults = []


def test_from_a_run_log_to_a_verdict_that_names_the_provider(
    run: Here, whole_stack: WholeStack, provider: ChattingOpenAI, tmp_path: Path
) -> None:
    fill(run, "hosted", targeted=40, rest=170)
    dataset = build(run, "hosted")
    train = ("train", "sft", "--dataset", dataset, "--on", f"openai:{provider.model}", "--spend-limit", "1")
    assert "price less than $0.01" in flat(succeeds(run, *train, "--dry-run"))
    assert whole_stack.openai.asked == [], "nothing is sent by a dry run"

    provider.holds_at = "running"
    job_id = run.json(*train)["job_id"]
    until(lambda: provider.paid)
    running = run("status")
    assert f"{job_id} is being trained by openai:{provider.model}, which charges for it" in flat(running.stderr)
    assert f"`burnish jobs cancel {job_id}` ends it" in flat(running.stderr)
    provider.holds_at = ""
    watched = succeeds(run, "jobs", "watch", job_id)
    (paid,) = provider.paid
    assert provider.tuned(paid) in watched
    until(lambda: job_id not in run("status").stderr)
    assert provider.files == {}

    (remote,) = run.json("adapters", "ls", "hosted")
    assert remote["remote"]["model"] == provider.tuned(paid)
    done = run("eval", "--benchmark", "hosted", "--adapter", "hosted", "--out", "result")
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.startswith("ship")
    at = f"openai ({whole_stack.openai.url}/v1)"
    assert at in flat(done.stdout)
    assert provider.chats == {provider.model: 2 * 210, provider.tuned(paid): 210}
    decided = run.json("verdict", "--base", "result/base.jsonl", "--candidate", "result/candidate.jsonl")
    assert decided["verdict"] == "ship"
    with CuratorClient.from_settings() as curator:
        (stored,) = [found for found in curator.evals() if found.candidate_model == provider.tuned(paid)]
        verdict = json.loads(curator.eval_file(stored.id, "verdict.json"))
    assert (stored.verdict, verdict["provider"]) == ("ship", at)
    assert all(at in Path("result", name).read_text() for name in ("report.html", "postmortem.md"))
    assert_lineage(run, remote, dataset)
    reference = f"hosted@{remote['version']}"
    refused = run("adapters", "promote", reference)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"answers at {at} as {provider.tuned(paid)}" in flat(refused.stderr)
    assert_no_secret(whole_stack, provider.token, tmp_path)


def assert_lineage(run: Here, remote: dict[str, Any], dataset: str) -> None:
    kinds = {parent["kind"]: f"{parent['name']}@{parent['digest']}" for parent in remote["parents"]}
    assert (set(kinds), kinds["dataset"]) == ({"dataset", "base_model", "job"}, dataset)
    held = run("adapters", "rm", f"hosted@{remote['version']}")
    assert held.returncode == 1
    assert "eval" in held.stderr, "the evaluation rests on it"


def assert_no_secret(stack: WholeStack, token: str, made: Path) -> None:
    """In no file of the stack or of the evaluation, no object, and no environment but the trainer's own processes'."""
    files = [path for folder in (stack.path, made) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if token.encode() in path.read_bytes()] == []
    store = stack.store()
    assert [info.key for info in store.list("") if token.encode() in store.get(info.key)] == []
    for name in ("objectstore", "curator", "inference"):
        pid = stack.part(name)["process"]["pid"]
        assert token.encode() not in Path(f"/proc/{pid}/environ").read_bytes(), name


def flat(text: str) -> str:
    """Without the breaks of lines and tables."""
    return re.sub(r"[\s│]+", " ", text)


def test_weights_that_come_back_are_served_and_promoted_here(
    run: Here, whole_stack: WholeStack, base_model_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    whole_stack.together.answers = fake = TogetherTuning()
    fake.adapter = adapter_files(arrays=arrays_for(BaseModel.open(base_model_dir).linears))
    fill(run, "returned", targeted=20, rest=4)
    dataset = build(run, "returned")
    place = ("--on", f"together:{fake.model}", "--spend-limit", "1")
    trained = succeeds(run, "train", "sft", "--dataset", dataset, *place, "--follow")
    (version,) = run.json("adapters", "ls", "returned")
    reference = f"returned@{version['version']}"
    assert reference in trained
    assert version["backend"] == "together"
    until(lambda: fake.files == {})
    sampling = ("--max-tokens", "4", "--samples", "1", "--no-forgetting")
    succeeds(run, "eval", "--benchmark", "returned", "--adapter", "returned@latest", *sampling, "--out", "result")
    assert run("adapters", "promote", reference).returncode == 1, "it is no better, and so has no ship verdict"
    succeeds(run, "adapters", "promote", reference, "--override", "of a test")
    chat = {"model": "returned", "messages": [{"role": "user", "content": "1+1?"}], "max_tokens": 1}
    with whole_stack.inference().http as http:
        assert http.post("/v1/chat/completions", json=chat).json()["model"].startswith("returned")
    assert version["version"] in succeeds(run, "adapters", "alias", "ls", "returned")
    assert run("status").returncode == 0
    succeeds(run, "adapters", "alias", "rm", "returned")


def test_here_and_there_are_compared(run: Here, provider: ChattingOpenAI, tmp_path: Path) -> None:
    fill(run, "places", targeted=24, rest=10)
    words = [
        "train",
        "compare",
        "--runlog",
        "places-runs",
        "--label",
        LABEL,
        "--benchmark",
        "places",
        "--methods",
        "sft",
    ]
    words += ["--adapter", "places", "--on", "local", "--on", f"openai:{provider.model}", "--spend-limit", "1"]
    words += [word for param in ("max_steps=2", "batch_size=2", "rank=4") for word in ("--param", param)]
    words += ["--no-forgetting", "--max-tokens", "8", "--samples", "1"]
    done = run(*words)
    assert done.returncode in (0, 13), done.stderr + done.stdout
    assert f"sft-on-openai-{provider.model}" in done.stdout
    result = json.loads(run(*words, "--json").stdout)
    assert len(provider.paid) == 1, "nothing is bought twice"
    here, there = result["results"]
    assert (here["place"], there["place"]) == ("local", f"openai:{provider.model}")
    assert (here["failure"], there["failure"], here["cost_usd"]) == (None, None, None)
    assert there["cost_usd"] > 0
    assert there["verdict"]["provider"].startswith("openai (")
    assert there["verdict"]["targeted"]["candidate"] == 1.0
