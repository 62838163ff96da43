"""`burnish benchmark run` and `burnish eval` against the real curator, with a model server whose answers are known."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from integration.client.homes import Here, Home
from integration.client.test_inference_client import manifest

from burnish.schemas.base import Parent
from burnish_client.sdk.curator import CuratorClient

TARGETED, REST = 40, 170
ADAPTER = "fixes@1111"


def question(number: int) -> dict[str, Any]:
    """The first TARGETED ask for JSON, the others for a word."""
    if number < TARGETED:
        grader = {"name": "json_fields", "args": {"fields": {"file": "exact"}}}
        return {
            "question_id": f"q{number}",
            "prompt": f"as JSON: {number}",
            "expected_answer": json.dumps({"file": f"m{number}.py"}),
            "grader": grader,
            "slice": "json",
        }
    return {
        "question_id": f"q{number}",
        "prompt": f"as a word: {number}",
        "expected_answer": f"m{number}.py",
        "grader": {"name": "contains"},
        "slice": "word",
    }


class Models(BaseHTTPRequestHandler):
    """The base names the file in prose, unless it is held to JSON or shown some; the adapter answers in JSON where asked to."""

    trained_on: Parent | None = None
    asked: list[str] = []

    def do_GET(self) -> None:
        parents = [self.trained_on] if self.trained_on else []
        adapter = manifest("1111").model_copy(update={"parents": parents}).model_dump(mode="json")
        models = [{"id": "base", "root": "base", "parent": None}, {"id": ADAPTER, "root": "base", "parent": "base"}]
        answers = {"/v1/models": {"data": models}, "/v1/adapters/fixes": {"adapters": [adapter]}}
        self._answer(answers.get(self.path, adapter))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "messages" not in body:
            return self.send_error(404)
        self.asked.append(body["model"])
        form, _, number = body["messages"][-1]["content"].rpartition(": ")
        text = f"It is in m{number}.py."
        shown = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
        able = (
            body["model"] == ADAPTER or "response_format" in body or any(example.startswith("{") for example in shown)
        )
        if able and form == "as JSON":
            text = json.dumps({"file": f"m{number}.py"})
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        self._answer(
            {"model": body["model"], "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        )

    def _answer(self, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Nothing: a test's output is its own."""


@pytest.fixture(scope="module")
def models_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Models) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_from_benchmark_to_a_stored_verdict(
    run: Here, shared_home: Home, models_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURNISH_INFERENCE_URL", models_url)
    monkeypatch.setenv("BURNISH_TOKEN", shared_home.state()["token"])
    monkeypatch.chdir(tmp_path)
    Path("files.jsonl").write_text("".join(json.dumps(question(number)) + "\n" for number in range(TARGETED + REST)))

    asked = run("benchmark", "run", "files.jsonl", "--out", "runs.jsonl")
    assert asked.returncode == 0, asked.stderr
    assert f"{2 * (TARGETED + REST)} graded answers, {2 * REST} correct; 0 without a grade" in asked.stdout
    assert f"answers: {2 * (TARGETED + REST)}/{2 * (TARGETED + REST)}" in asked.stderr
    asked_so_far = len(Models.asked)
    again = run("benchmark", "run", "files.jsonl", "--out", "runs.jsonl")
    assert again.returncode == 0
    assert len(Models.asked) == asked_so_far == 2 * (TARGETED + REST)

    assert run("runs", "import", "runs.jsonl", "--name", "base-runs").returncode == 0
    (cluster,) = run.json("diagnose", "base-runs")["clusters"]
    assert (cluster["questions"], cluster["repeated_questions"], cluster["candidate"]) == (TARGETED, TARGETED, True)
    assert run("review", "export", "base-runs", "--out", "review.jsonl").returncode == 0
    items = [json.loads(line) for line in Path("review.jsonl").read_text().splitlines()]
    answers = {f"q{number}": question(number)["expected_answer"] for number in range(TARGETED)}
    Path("review.jsonl").write_text(
        "".join(json.dumps(item | {"corrected_output": answers[item["question_id"]]}) + "\n" for item in items)
    )
    corrected = run("review", "import", "review.jsonl", "--run-log", "base-runs")
    assert f"--label {cluster['label']}" in corrected.stderr
    built = run.json(
        "dataset", "build", "fixes", "--run-log", "base-runs", "--label", cluster["label"], "--benchmark", "files"
    )
    monkeypatch.setattr(Models, "trained_on", Parent(kind="dataset", name="fixes", digest=built["version"]))

    done = run(
        "eval",
        "--benchmark",
        "files",
        "--adapter",
        "fixes@latest",
        "--base-runs",
        "base-runs",
        "--no-forgetting",
        "--out",
        "result",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ship")
    assert f"{2 * (TARGETED + REST)} answers of the base were taken from the run log" in done.stderr
    assert Models.asked[2 * (TARGETED + REST) :] == [ADAPTER] * (TARGETED + REST)
    assert "result/report.html" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    verdict = run("verdict", "--base", "result/base.jsonl", "--candidate", "result/candidate.jsonl", "--json")
    assert verdict.returncode == 0
    held_out = json.loads(verdict.stdout)["targeted"]
    assert (held_out["n"], held_out["base"], held_out["candidate"]) == (built["counts"]["held_out"], 0.0, 1.0)

    with CuratorClient.from_settings() as curator:
        (stored,) = [found for found in curator.evals() if found.candidate_model == ADAPTER]
        assert (stored.verdict, stored.candidate_model, stored.dataset) == (
            "ship",
            ADAPTER,
            f"fixes/{built['version']}",
        )
        assert curator.eval_file(stored.id, "report.html") == Path("result/report.html").read_bytes()
    repeated = run(
        "eval",
        "--benchmark",
        "files",
        "--adapter",
        ADAPTER,
        "--base-runs",
        "base-runs",
        "--out",
        "result",
        "--no-forgetting",
        "--json",
    )
    assert repeated.returncode == 0, repeated.stderr
    assert json.loads(repeated.stdout)["verdict"]["verdict"] == "ship"
    assert len(Models.asked) == 3 * (TARGETED + REST)

    before = len(Models.asked)
    controlled = run(
        "eval", "--benchmark", "files", "--adapter", ADAPTER, "--control", "--price", "1,2,EUR", "--out", "controlled"
    )
    assert controlled.returncode == 0, controlled.stderr
    arms = {arm["name"]: arm["does_it"] for arm in json.loads(Path("controlled/verdict.json").read_text())["arms"]}
    assert arms == {"few-shot": True, "nearest-few-shot": True, "schema": True, "prompt": False}
    assert json.loads(Path("controlled/verdict.json").read_text())["cheaper_rung"] == "few-shot"
    forgot = json.loads(Path("controlled/forgetting.json").read_text())
    asked = {model: Models.asked[before:].count(model) - forgot["probe"]["n"] for model in ("base", ADAPTER)}
    assert asked == {"base": 6 * (TARGETED + REST), ADAPTER: 0}, "the adapter's answers are those of the run before"
    assert forgot["cross_entropy_missing"].startswith("No cross-entropy")
    assert all(len(line) <= 80 for line in controlled.stdout.splitlines()), controlled.stdout
    costs = {cost["side"]: cost for cost in json.loads(Path("controlled/costs.json").read_text())}
    assert list(costs) == ["base", "candidate", *(f"arm:{arm}" for arm in arms), "probe"]
    assert (costs["arm:schema"]["asked"], costs["arm:schema"]["money"]) == (TARGETED + REST, 210 * 3 / 1e6)
    with CuratorClient.from_settings() as curator:
        stored = next(found for found in curator.evals() if found.arms)
        assert [(arm.name, arm.plain) for arm in stored.arms] == [
            ("few-shot", 0),
            ("nearest-few-shot", 0),
            ("schema", REST),
            ("choice", TARGETED + REST),
            ("prompt", 0),
        ]
        assert curator.eval_file(stored.id, "arm-schema.jsonl") == Path("controlled/arm-schema.jsonl").read_bytes()


def test_two_hosts_need_no_stack(run: Here, models_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    Path("files.jsonl").write_text("".join(json.dumps(question(number)) + "\n" for number in range(TARGETED + REST)))
    hosts = ("--candidate-url", models_url, "--candidate-model", ADAPTER, "--base-model", "base")
    eval_files = ("eval", "--benchmark", "files.jsonl", *hosts, "--out", "result", "--json")

    untold = run(*eval_files)
    assert (untold.returncode, "nothing says which questions are targeted" in untold.stderr) == (2, True)
    assert "no question has slice 'jsn'" in run(*eval_files, "--targeted-slice", "jsn").stderr
    assert "there are none" in run(*eval_files, "--targeted-slice", "json", "--control").stderr
    done = run(*eval_files, "--targeted-slice", "json", "--control", "schema")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)["verdict"]
    assert (verdict["verdict"], verdict["targeted"]["n"], verdict["rest"]["n"]) == ("ship", TARGETED, REST)
    assert verdict["cheaper_rung"] == "schema"
    assert not Path("result/forgetting.json").exists()
    Path("ids").write_text("q0\nq999\n")
    assert "not in the benchmark: q999" in run(*eval_files, "--targeted", "ids").stderr
    assert run("eval", "--benchmark", "files.jsonl", "--candidate-url", models_url).returncode == 2
    assert run(*eval_files, "--price", "cheap", "--targeted-slice", "json").returncode == 2
