"""`burnish train sweep` and `train compare` against a real curator, object store and trainer, on a model that trains in seconds."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.client.homes import Here, Home, until
from integration.evaluation.chat_server import ChatServer, serving
from unit.trainer.made import tiny_model

from burnish.layout import adapter as adapter_key
from burnish.objectstores.s3 import S3ObjectStore
from burnish.probe import probe_questions
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.trainer import TrainerClient, job_state
from burnish_client.stack import control
from burnish_protos.trainer.v1.trainer_pb2 import TuningJob

pytestmark = pytest.mark.timeout(600)

TARGETED, REST = 60, 160
LABEL = "not_json"
RATES = "5e-3,1e-7,2e-7,3e-7"
SEED = "4"  # the good one goes first


@pytest.fixture(scope="module")
def tiny_home(base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose parts run over a small random base model; one reviewed cluster and its benchmark are in it."""
    folder = tmp_path_factory.mktemp("tuning")
    made = Home(folder / "home")
    started = made.burnish(
        "up", "--without", "inference", BURNISH_BASE_MODEL=str(tiny_model(base_model_dir, folder / "tiny"))
    )
    assert started.returncode == 0, started.stderr
    _fill(made, folder)
    yield made
    control.down(made.path)


def answer(number: int) -> str:
    return json.dumps({"file": f"m{number}.py"})


def _fill(home: Home, folder: Path) -> None:
    """The first TARGETED questions are answered in prose in both runs; all others are right."""
    questions, lines = [], []
    for number in range(TARGETED + REST):
        targeted = number < TARGETED
        expected = answer(number) if targeted else f"m{number}.py"
        grader = {"name": "json_fields", "args": {"fields": {"file": "exact"}}} if targeted else {"name": "contains"}
        question = {"question_id": f"q{number}", "prompt": f"where is f{number}? {number}", "expected_answer": expected}
        questions.append(question | {"grader": grader, "slice": "json" if targeted else "word"})
        for run in ("r1", "r2"):
            lines.append(
                {
                    "question_id": f"q{number}",
                    "question": question["prompt"],
                    "evidence_text": "def f(): ...",
                    "evidence_files": [f"m{number}.py"],
                    "answer": f"It is in m{number}.py.",
                    "expected_answer": expected,
                    "retrieval_hit": True,
                    "grade": "wrong" if targeted else "correct",
                    "failure_label": LABEL if targeted else None,
                    "run_id": run,
                }
            )
    for name, rows in (("files.jsonl", questions), ("runs.jsonl", lines)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    with CuratorClient.from_settings(home.settings()) as curator:
        curator.import_benchmark(folder / "files.jsonl", "files")
        run_log = curator.import_run_log(folder / "runs.jsonl", "runs").manifest.id
        items = curator.export_review(run_log, [LABEL])
        corrected = [item.model_copy(update={"corrected_output": answer(int(item.question_id[1:]))}) for item in items]
        curator.import_review(run_log, corrected)


@pytest.fixture
def run(tiny_home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The burnish command in the tiny home, at 100 columns."""
    monkeypatch.setenv("BURNISH_HOME", str(tiny_home.path))
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("BURNISH_TOKEN", "BURNISH_CURATOR_URL", "BURNISH_TRAINER_ADDRESS", "BURNISH_INFERENCE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Here(capsys)


def jobs_of(home: Home, **labels: str) -> list[TuningJob]:
    with TrainerClient.from_settings(home.settings()) as trainer:
        return trainer.list_jobs(labels=labels)


def test_a_sweep_is_killed_goes_on_and_cancels_what_is_hopeless(run: Here, tiny_home: Home) -> None:
    built = run("dataset", "build", "fixes", "--run-log", "runs", "--label", LABEL, "--benchmark", "files")
    assert built.returncode == 0, built.stderr
    fixed = ("max_steps=30", "batch_size=2", "rank=8", "evaluation_interval_steps=6", "warmup_share=0")
    words = ["train", "sweep", "sft", "--dataset", "fixes", "--param", f"learning_rate={RATES}", "--seed", SEED]
    words += [word for param in fixed for word in ("--param", param)] + ["--name", "rates", "--follow"]

    with subprocess.Popen(
        tiny_home.command(*words),
        env=tiny_home.environment,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tiny_home.path.parent,
    ) as killed:
        assert killed.stderr is not None
        while "20 %" not in (line := killed.stderr.readline()):
            assert line, "it ended before its first evaluation"
        killed.send_signal(signal.SIGKILL)
    (running,) = jobs_of(tiny_home, sweep="rates")
    shown = run.json("train", "sweep", "show", "rates")
    assert [(trial["outcome"], trial["job_id"]) for trial in shown["trials"]] == [("running", running.job_id)]

    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 100 for line in done.stdout.splitlines() if "burnish train" not in line), done.stdout
    result = run.json("train", "sweep", "show", "rates")
    best = result["trials"][result["best"]]
    assert best["values"]["learning_rate"] == 5e-3
    assert f"burnish train sft --dataset {result['dataset']} --adapter fixes" in done.stdout
    assert "--learning-rate 0.005" in done.stdout
    jobs = {job.job_id: job for job in jobs_of(tiny_home, sweep="rates")}
    assert len(jobs) == len(result["trials"]) == 4
    pruned = [trial for trial in result["trials"] if trial["outcome"] == "pruned"]
    assert pruned
    for trial in pruned:
        assert "not in the better half" in trial["why"]
        until(lambda: job_state(jobs_of_one(tiny_home, trial["job_id"]).state) == "cancelled", 15)  # noqa: B023
        ended = jobs_of_one(tiny_home, trial["job_id"])
        assert 0 < ended.progress.step < 30, "it was running"
    before = len(jobs)
    again = run(*words)
    assert again.returncode == 0
    assert len(jobs_of(tiny_home, sweep="rates")) == before, "nothing was run again"


def jobs_of_one(home: Home, job_id: str) -> TuningJob:
    with TrainerClient.from_settings(home.settings()) as trainer:
        return trainer.get_job(job_id)


class Models(ChatServer):
    """Base and adapters of an inference server: manifests from the object store, answers by a rule.

    The base answers in prose. The SFT adapter answers the targeted questions in JSON, the DPO adapter those divisible by 3.
    """

    store: S3ObjectStore

    def app(self) -> Any:
        app = super().app()
        models = [{"id": "base", "root": "base", "parent": None}]
        app.get("/v1/models")(lambda: {"data": models})
        app.get("/v1/adapters/{name}/{version}")(self.manifest)
        return app

    def manifest(self, name: str, version: str) -> Any:
        return json.loads(self.store.get(adapter_key(name, version)))


def say(model: str, prompt: str) -> str:
    last = prompt.rpartition(" ")[2]
    if "where is f" not in prompt:
        return "no idea"  # a probe question
    number = int(last)
    able = "-sft@" in model or ("-dpo@" in model and number % 3 == 0)
    return answer(number) if able and number < TARGETED else f"It is in m{number}.py."


@pytest.fixture
def models(tiny_home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Models]:
    state = tiny_home.state()
    server = Models(say=say)
    server.store = S3ObjectStore(
        tiny_home.part("objectstore")["address"], state["s3_access_key"], state["s3_secret_key"], "burnish"
    )
    with serving(server):
        monkeypatch.setenv("BURNISH_INFERENCE_URL", server.url)
        monkeypatch.setenv("BURNISH_TOKEN", state["token"])
        yield server


def test_compare_trains_both_asks_the_base_once_and_recommends(
    run: Here, tiny_home: Home, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "compare", "--runlog", "runs", "--label", LABEL, "--benchmark", "files"]
    words += [word for param in ("max_steps=4", "batch_size=2", "rank=4") for word in ("--param", param)]
    tried = run(*words, "--dry-run")
    assert tried.returncode == 0, tried.stderr + tried.stdout
    assert f"to ask: {4 * (TARGETED + REST):,} answers" in tried.stderr
    assert tried.stdout.count("fit to run") == 2
    assert not models.served
    done = run(*words)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Take sft: +" in done.stdout
    assert all(len(line) <= 100 or "report.html" in line or "Take sft" in line for line in done.stdout.splitlines())
    asked: dict[str, int] = {}
    for model, _, _ in models.served.elements():
        asked[model.partition("@")[0]] = asked.get(model.partition("@")[0], 0) + 1
    count, probe = TARGETED + REST, len(probe_questions())
    assert asked == {"base": 2 * count + probe, "not_json-sft": count + probe, "not_json-dpo": count + probe}

    body = run(*words, "--json")
    assert body.returncode == 0, body.stderr
    assert sum(models.served.values()) == 4 * count + 3 * probe, "nothing was asked again"
    result = json.loads(body.stdout)
    assert (result["recommendation"]["method"], result["recommendation"]["settled"]) == ("sft", True)
    (pair,) = result["duels"]
    held_out = round(0.3 * TARGETED)
    assert (pair["first"], pair["second"], pair["targeted"]["n"]) == ("sft", "dpo", held_out)
    assert pair["rest"]["delta"] == 0
    jobs = jobs_of(tiny_home, compare=result["compare"])
    assert sorted(job.labels["method"] for job in jobs) == ["dpo", "sft"], "nothing was trained again"
    with CuratorClient.from_settings(tiny_home.settings()) as curator:
        stored = {found.id: found for found in curator.evals()}
        splits = [curator.dataset(*each["dataset"].split("@")).split for each in result["results"]]
    assert splits[0].held_out == splits[1].held_out
    for each in result["results"]:
        assert stored[each["eval_id"]].candidate_model == each["adapter"]
        assert each["verdict"]["targeted"]["n"] == held_out
        assert each["seconds"] > 0
        assert (Path(each["folder"]) / "report.html").is_file()
