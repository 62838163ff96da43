"""One command through real processes: one trace id from the CLI's span to the worker's, in the spans and in the logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration.curator.process import TOKEN, start_curator
from integration.trainer.trainer_process import TrainerProcess, until
from otlp_receiver import ReceivedSpan, Receiver, receiving
from unit.trainer.made import dpo_rows, put_dataset, tiny_model

from burnish.objectstores.s3 import S3ObjectStore

SMALL = ["--rank", "4", "--batch-size", "2", "--max-steps", "2", "--evaluation-interval-steps", "1"]
COMMAND = ["train", "dpo", "--dataset", "colours", *SMALL, "--follow"]
GONE = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture(scope="module")
def store(seaweed: Any) -> S3ObjectStore:
    made: S3ObjectStore = seaweed.store("traced")
    made.ensure_bucket()
    put_dataset(made, dpo_rows(8), dpo_rows(2, "v"))
    return made


@pytest.fixture(scope="module")
def services(
    seaweed: Any,
    store: S3ObjectStore,
    receiver: Receiver,
    base_model_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Any]]:
    """A curator and a trainer that export to the receiver, and where a client finds them."""
    folder = tmp_path_factory.mktemp("traced")
    shared = {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": store.bucket,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    own = {"BURNISH_TOKEN": TOKEN, "BURNISH_TRAINER_METRICS_PORT": "0", "BURNISH_TRAINER_WARM_WORKERS": "0"}
    curator = start_curator(folder / "curator", shared)
    trainer = TrainerProcess(folder, tiny_model(base_model_dir, folder / "tiny"), shared | own)
    trainer.start()
    client = {
        "BURNISH_CURATOR_URL": curator.url,
        "BURNISH_TRAINER_ADDRESS": trainer.address,
        "BURNISH_TOKEN": TOKEN,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
    }
    yield {"curator": curator, "trainer": trainer, "client": client}
    trainer.stop()
    curator.stop()


def burnish(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "burnish_client.cli", *words]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=240)


def lines(log: Path) -> list[dict[str, Any]]:
    """The JSON lines of a log; a model library may print others between them."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def traced(services: dict[str, Any], receiver: Receiver) -> ReceivedSpan:
    """The root span of a command that trained an adapter to its end."""
    done = burnish(*COMMAND, **services["client"])
    assert done.returncode == 0, done.stderr + services["trainer"].log.read_text()
    (root,) = receiver.named("burnish-cli", "burnish train dpo")
    until(lambda: receiver.named("burnish-trainer", "attempt"), 20, "no span of the attempt came")
    return root


def test_the_spans_of_every_process_belong_to_the_commands_trace(traced: ReceivedSpan, receiver: Receiver) -> None:
    assert traced.parent_id == ""
    spans = {(s.service, s.name): s for s in receiver.spans if s.trace_id == traced.trace_id}
    create = spans["burnish-trainer", "burnish.trainer.v1.Trainer/CreateTuningJob"]
    attempt, train = spans["burnish-trainer", "attempt"], spans["burnish-worker", "train"]
    assert create.parent_id == traced.span_id
    assert spans["burnish-trainer", "prepare"].parent_id == create.span_id
    assert attempt.parent_id == create.span_id
    assert train.parent_id == attempt.span_id
    for name in ("load model", "reference pass", "evaluate", "checkpoint", "publish"):
        assert spans["burnish-worker", name].trace_id == traced.trace_id
    assert any(service == "burnish-curator" for service, _ in spans)
    assert spans["burnish-curator", "GET /v1/datasets/{name}/{version}"].parent_id == traced.span_id


def test_the_logs_of_every_process_carry_the_trace(traced: ReceivedSpan, services: dict[str, Any]) -> None:
    trainer: TrainerProcess = services["trainer"]
    served = [line for line in lines(trainer.log) if line.get("trace_id") == traced.trace_id]
    (created,) = [line for line in served if line.get("method", "").endswith("/CreateTuningJob")]
    assert created["status"] == "OK"
    assert created["request_id"]
    (started,) = [line for line in served if line["message"].startswith("attempt 1 started")]
    (worker_log,) = trainer.work_dir.glob("jobs/*/attempt-1/worker.log")
    (taken,) = [line for line in lines(worker_log) if line["message"].startswith("attempt taken up")]
    assert taken["trace_id"] == started["trace_id"] == traced.trace_id
    assert taken["job_id"] == started["job_id"] == worker_log.parent.parent.name
    assert taken["attempt"] == 1
    curated = [line for line in lines(services["curator"].folder / "curator.log") if "trace_id" in line]
    assert any(line["trace_id"] == traced.trace_id and line["path"].startswith("/v1/datasets") for line in curated)


def test_everything_on_stdout_is_json(traced: ReceivedSpan, services: dict[str, Any]) -> None:
    for log in (services["trainer"].log, services["curator"].folder / "curator.log"):
        for line in log.read_text().splitlines():
            assert {"time", "level", "logger", "message"} <= set(json.loads(line)), line


def test_what_the_worker_did_stands_in_the_trainers_metrics(traced: ReceivedSpan, services: dict[str, Any]) -> None:
    trainer: TrainerProcess = services["trainer"]
    (line,) = [line for line in lines(trainer.log) if line["message"].startswith("metrics on")]
    url = f"http://{line['message'].removeprefix('metrics on ')}/metrics"
    for wrong in ({}, {"Authorization": "Bearer wrong"}):
        assert httpx.get(url, headers=wrong, trust_env=False).status_code == 401
    page = httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False).text
    samples = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    expected = {
        'burnish_trainer_step_seconds_count{method="dpo"}': 2,
        'burnish_trainer_checkpoints_total{method="dpo"}': 2,
        'burnish_trainer_jobs_ended_total{method="dpo",state="succeeded"}': 1,
        'burnish_trainer_reference_cache_total{result="miss"}': 1,
        'burnish_trainer_attempts_total{method="dpo"}': 1,
        'burnish_trainer_preparation_seconds_count{result="passed"}': 1,
        'burnish_trainer_queue_jobs{state="running"}': 0,
    }
    assert {name: float(samples[name]) for name in expected} == expected
    assert float(samples['burnish_trainer_trained_tokens_total{method="dpo"}']) > 0


def test_a_collector_that_is_gone_costs_a_command_two_seconds_at_most(services: dict[str, Any]) -> None:
    without = {**services["client"], "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    burnish("jobs", "ls", **without)
    started = time.monotonic()
    assert burnish("jobs", "ls", **without).returncode == 0
    usual = time.monotonic() - started
    done = burnish("jobs", "ls", **{**services["client"], "OTEL_EXPORTER_OTLP_ENDPOINT": GONE})
    assert done.returncode == 0
    assert time.monotonic() - started < 2 * usual + 4.0  # 2 s, and the imports of the exporter on a busy machine
    assert "was not taken by" in done.stderr
