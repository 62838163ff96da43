"""`burnish jobs` against the real servicer on a socket, with jobs in every state: what a person reads, what a program reads."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from integration.client.homes import Here
from integration.trainer.rpc.service import BASE, ScriptedPlanner, put_checkpoint
from unit.trainer.made import job_spec, put_dataset, sft_rows

from burnish.errors import DeadlineError, InvalidInputError, PreconditionError, UnavailableError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import VersionRef
from burnish.schemas.training.job_state import JobState
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement
from burnish_client.sdk.trainer import TrainerClient
from burnish_trainer.executors.events import CheckpointSaved, Found, Metrics, Succeeded
from burnish_trainer.preflight.types import Preview
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.notifier import Notifier
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.rpc.admission import Admission
from burnish_trainer.rpc.server import Health, build_server
from burnish_trainer.rpc.servicer import TrainerServicer
from burnish_trainer.scheduler.preparation import refusal

TOKEN = "the-token"
ENGINE = "engine-a"
ALIKE = Finding(
    code="near-duplicate-rows",
    severity="warning",
    message="Rows differ by a few characters only, so that they count twice: keep one of each pair, or accept that.",
    question_ids=[f"ticket-{number}" for number in range(20)],
    count=24,
)
CUT = Finding(
    code="completion-cut",
    severity="refusal",
    message="1 row is longer than max_length 2048 [tokens]: raise --max-length to 2411",
    question_ids=["ticket-7"],
    count=1,
)
RISES = Finding(
    code="overfitting", severity="warning", message="validation loss rises since step 2: train for fewer epochs"
)
ESTIMATE = RunEstimate(
    seconds=250,
    load_seconds=12,
    peak_memory_bytes=1_910_000_000,
    available_memory_bytes=8_000_000_000,
    disk_bytes=45_000_000,
    steps=4,
    tokens=48_312,
    basis="4 like runs on this machine",
)
MEASURED = RunMeasurement(
    seconds=261, load_seconds=11, peak_memory_bytes=1_880_000_000, tokens=48_312, queue_seconds=0.42
)


@dataclass
class Queue:
    """A trainer without an engine: its jobs do what a test says."""

    address: str
    repository: JobRepository
    store: MemoryObjectStore
    dataset: VersionRef
    planner: ScriptedPlanner

    def queued(self, adapter: str = "tickets", **place: object) -> str:
        spec = job_spec(self.dataset, adapter_name=adapter)
        return self.repository.create(spec, None, "0" * 64, **place).job_id  # type: ignore[arg-type]

    def prepared(self, *findings: Finding, **place: object) -> str:
        """Queued and through preflight, refused where the findings say so."""
        job_id = self.queued(**place)
        assert self.repository.claim_preparation(ENGINE, (), 30)
        refused = refusal(findings)
        preview = Preview(findings=list(findings), workload=None, estimate=None if refused else ESTIMATE, kind="0" * 64)
        self.repository.prepared(job_id, ENGINE, preview, refused)
        return job_id

    def running(self, *findings: Finding, **place: object) -> str:
        job_id = self.prepared(*findings, **place)
        assert self.repository.claim_device(ENGINE, (), ("cpu",), 1, 30)
        self.repository.start_attempt(job_id, ENGINE, 0.1)
        return job_id

    def succeeded(self) -> str:
        """Stopped after step 2 with one figure lost, run again from there, and ended."""
        job_id = self.running(ALIKE)
        first = [
            Metrics(step=1, total_steps=4, epoch=0.5, train_loss=2.5, learning_rate=5e-3, tokens_per_second=190.4),
            Metrics(step=2, total_steps=4, epoch=1.0, train_loss=1.75, learning_rate=4e-3, gradient_norm=1.25),
            Metrics(step=2, total_steps=4, epoch=1.0, validation_loss=1.5),
            CheckpointSaved(step=2, message="checkpoint at step 2"),
            Metrics(step=3, total_steps=4, epoch=1.5, train_loss=1.5),
        ]
        self.repository.ingest(job_id, ENGINE, first, 0, 100)
        self.repository.requeue(job_id, ENGINE, error=UnavailableError("the worker died"), message="attempt 1 failed")
        assert self.repository.claim_device(ENGINE, (), ("cpu",), 1, 30)
        self.repository.start_attempt(job_id, ENGINE, 0.1)
        second = [
            Metrics(step=3, total_steps=4, epoch=1.5, train_loss=1.4375),
            Metrics(step=4, total_steps=4, epoch=2.0, train_loss=1.25),
            Metrics(step=4, total_steps=4, epoch=2.0, validation_loss=1.625),
            Found(finding=RISES),
            Succeeded(adapter=VersionRef(name="tickets", version="f" * 16), measured=MEASURED),
        ]
        self.repository.ingest(job_id, ENGINE, second, 0, 100)
        return job_id


async def serve(queue: Queue, started: threading.Event, stop: threading.Event) -> None:
    acceptance = Admission(queue.store, BASE, ["cpu"])
    servicer = TrainerServicer(queue.repository, acceptance, Notifier(), queue.planner, queue.store)
    server = build_server(servicer, TOKEN, Health())
    queue.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    started.set()
    await asyncio.to_thread(stop.wait)
    await server.stop(None)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    database = Database(f"sqlite:///{tmp_path / 'queue.db'}")
    database.migrate()
    store = MemoryObjectStore()
    made = Queue("", JobRepository(database), store, put_dataset(store, sft_rows(8), name="tickets"), ScriptedPlanner())
    started, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(made, started, stop)))
    thread.start()
    assert started.wait(20)
    monkeypatch.setenv("BURNISH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BURNISH_TRAINER_ADDRESS", made.address)
    monkeypatch.setenv("BURNISH_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "80")
    yield made
    stop.set()
    thread.join()
    database.close()


@pytest.fixture
def burnish(queue: Queue, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(capsys)


def narrow(text: str) -> bool:
    return all(len(line) <= 80 for line in text.splitlines())


def test_ls_shows_states_and_filters(queue: Queue, burnish: Here) -> None:
    ended, refused = queue.succeeded(), queue.prepared(CUT)
    runs = queue.running(labels={"team": "search"})
    waits = queue.queued(adapter="other", priority=5)
    paused = queue.repository.pause(queue.queued()).job_id
    shown = burnish("jobs", "ls").stdout
    assert narrow(shown)
    lines = {line.split()[0]: line.split() for line in shown.splitlines()}
    assert lines["job"] == ["job", "state", "method", "dataset", "adapter", "prio", "step", "loss"]
    assert lines[waits] == [waits, "pending", "sft", "tickets", "other", "5", "–", "–"]
    assert lines[ended] == [ended, "succeeded", "sft", "tickets", "tickets", "0", "4/4", "1.250"]
    assert [lines[job][1] for job in (refused, runs, paused)] == ["failed", "running", "paused"]

    def ids(*words: str) -> list[str]:
        return [job["job_id"] for job in burnish.json("jobs", "ls", *words)]

    assert ids("--state", "paused", "--state", "pending") == [paused, waits]
    assert ids("--label", "team=search") == [runs]
    assert ids("--adapter", "other") == ids("--adapter", "other", "--dataset", "tickets") == [waits]
    assert ids("--dataset", "none") == []
    assert "no such jobs" in burnish("jobs", "ls", "--state", "preparing").stderr
    assert "prio" not in burnish("jobs", "ls", "--state", "running").stdout


def test_show_has_findings_and_what_the_run_took_beside_its_estimate(queue: Queue, burnish: Here) -> None:
    job_id = queue.succeeded()
    done = burnish("jobs", "show", job_id)
    assert narrow(done.stdout)
    text = " ".join(done.stdout.split())
    for piece in (
        f"{job_id} succeeded",
        "adapter tickets@ffffffffffffffff",
        "warning near-duplicate-rows Rows differ by a few characters only",
        "rows ticket-0, ticket-1,",
        "ticket-19 and 4 more",
        "warning overfitting validation loss rises",
        "estimated measured time 4:10 min 4:21 min loading the model 12 s 11 s peak memory 1.91 GB 1.88 GB",
        "tokens 48,312 48,312 in the queue – 0.4 s",
    ):
        assert piece in text
    assert f"burnish jobs checkpoints {job_id}" in done.stderr
    whole = burnish.json("jobs", "show", job_id)
    assert whole["measured"]["seconds"] == 261
    assert [finding["code"] for finding in whole["findings"]] == ["near-duplicate-rows", "overfitting"]


def test_show_of_a_running_and_of_a_refused_job(queue: Queue, burnish: Here) -> None:
    later = datetime.now(UTC) + timedelta(hours=3)
    running = queue.running(labels={"team": "search", "try": "1"}, priority=7, deadline=later)
    text = " ".join(burnish("jobs", "show", running).stdout.split())
    for piece in (
        "devices cpu",
        "priority 7",
        "labels team=search, try=1",
        "deadline 20",
        "time 4:10 min, and 12 s to load",
    ):
        assert piece in text
    assert "memory 1.91 GB at the peak of 8.00 GB" in text
    refused = burnish("jobs", "show", queue.prepared(ALIKE, CUT))
    assert refused.stdout.index("refused completion-cut") < refused.stdout.index("warning near-duplicate-rows")
    assert "[tokens]" in refused.stdout, "what looks like markup is text"
    assert "row ticket-7" in refused.stdout
    assert "preflight refuses this job" in refused.stderr


def test_watch_tells_findings_the_estimate_and_how_it_ended(queue: Queue, burnish: Here) -> None:
    done = burnish("jobs", "watch", queue.succeeded())
    assert done.returncode == 0
    told = done.stderr.splitlines()
    for line in (
        "state preparing",
        "estimate 4:10 min for 4 steps, 1.91 GB of memory, 45.0 MB of disk (4 like runs on this machine)",
        "step 2/4  validation_loss 1.5000",
        "attempt 1 failed",
        "warning overfitting: validation loss rises since step 2: train for fewer epochs",
        "state succeeded",
    ):
        assert line in told
    assert next(line for line in told if line.startswith("warning near")).endswith(
        "(rows ticket-0, ticket-1, ticket-2, ticket-3, ticket-4 and 19 more)"
    )
    assert "training took 4:21 min (estimated 4:10 min)" in done.stderr
    refused = burnish("jobs", "watch", queue.prepared(CUT))
    assert refused.returncode == 1
    assert "refused completion-cut: 1 row is longer" in refused.stderr


def test_metrics_are_the_last_telling_of_each_step(queue: Queue, burnish: Here) -> None:
    job_id = queue.succeeded()
    shown = burnish("jobs", "metrics", job_id).stdout
    assert narrow(shown)
    assert [line.split()[:4] for line in shown.splitlines()[1:]] == [
        ["1", "0.50", "2.5000", "–"],
        ["2", "1.00", "1.7500", "1.5000"],
        ["3", "1.50", "1.4375", "–"],
        ["4", "2.00", "1.2500", "1.6250"],
    ]
    rows = burnish.json("jobs", "metrics", job_id)
    assert [(row["step"], row["train_loss"], row["attempt"]) for row in rows] == [
        (1, 2.5, 1),
        (2, 1.75, 1),
        (3, 1.4375, 2),
        (4, 1.25, 2),
    ]
    assert rows[0]["validation_loss"] is None
    table = list(csv.DictReader(io.StringIO(burnish("jobs", "metrics", job_id, "--csv").stdout)))
    assert [row["validation_loss"] for row in table] == ["", "1.5", "", "1.625"]
    assert burnish("jobs", "metrics", job_id, "--csv", "--json").returncode == 2
    assert "no metrics yet" in burnish("jobs", "metrics", queue.running()).stderr


def test_pause_waits_for_the_device_and_resume_goes_on(queue: Queue, burnish: Here) -> None:
    job_id = queue.running()

    def engine() -> None:
        """Does what was asked, as the real one does once the worker has saved."""
        while not queue.repository.get(job_id).pause_requested:
            threading.Event().wait(0.02)
        queue.repository.requeue(job_id, ENGINE, state=JobState.PAUSED)

    saving = threading.Thread(target=engine)
    saving.start()
    paused = burnish("jobs", "pause", job_id)
    saving.join()
    assert (paused.returncode, paused.stdout) == (0, f"{job_id} is paused\n")
    assert f"burnish jobs resume {job_id}" in paused.stderr
    assert "paused" in burnish("jobs", "show", job_id).stdout
    assert burnish("jobs", "resume", job_id).stdout == f"{job_id} is pending\n"
    assert burnish("jobs", "cancel", job_id).stdout == f"{job_id} is cancelled\n"
    for verb in ("pause", "resume", "cancel"):
        refused = burnish("jobs", verb, job_id)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "cancelled" in refused.stderr
    other = queue.running()
    assert burnish("jobs", "pause", other, "--no-wait").stdout == f"{other} is running and asked to pause\n"


def test_checkpoints_are_listed_and_published(queue: Queue, burnish: Here, tmp_path: Path) -> None:
    job_id = queue.succeeded()
    assert "has no checkpoints" in burnish("jobs", "checkpoints", job_id).stderr
    put_checkpoint(queue.store, job_id, tmp_path, 2, 1.5, "tickets")
    put_checkpoint(queue.store, job_id, tmp_path, 4, 1.625, "tickets")
    published = burnish("jobs", "publish", job_id, "--step", "2")
    assert published.stdout.startswith(f"step 2 of {job_id} is adapter tickets@")
    reference = published.stdout.split()[-1]
    assert f"--adapter {reference}" in published.stderr
    shown = burnish("jobs", "checkpoints", job_id).stdout
    assert narrow(shown)
    assert shown.splitlines()[1].split()[:4] == ["2", "0.50", "1.5000", "best"]
    assert shown.splitlines()[2].split()[:3] == ["4", "1.00", "1.6250"]
    kept = burnish.json("jobs", "checkpoints", job_id)
    assert "@".join(kept[0]["adapter"].values()) == reference
    missing = burnish("jobs", "publish", job_id, "--step", "3")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "those kept: 2, 4" in missing.stderr


def test_the_sdk_previews_and_reads_events_without_waiting(queue: Queue) -> None:
    running = queue.running()
    with TrainerClient(queue.address, TOKEN) as trainer:
        assert [event.sequence for event in trainer.events(running)] == [1, 2, 3, 4, 5]
        assert trainer.events(running, after_sequence=5) == []
        spec = trainer.get_job(running).spec
        queue.planner.findings = [CUT]
        assert trainer.preview_job(spec).refused
        job = trainer.create_job(spec, priority=3, labels={"a": "b"}, deadline=datetime.now(UTC) + timedelta(hours=1))
        assert trainer.list_jobs(labels={"a": "b"}, adapter_name="tickets", dataset_name="tickets") == [job]


def test_a_preview_that_the_trainer_gave_up_is_not_asked_for_again(queue: Queue) -> None:
    queue.planner.error = UnavailableError("preflight was busy with other jobs for 600 s: try again later")
    with TrainerClient(queue.address, TOKEN) as trainer:
        spec = trainer.get_job(queue.queued()).spec
        with pytest.raises(UnavailableError, match="preflight was busy"):
            trainer.preview_job(spec)
    assert len(queue.planner.asked) == 1


def test_a_list_of_jobs_with_many_findings_arrives(queue: Queue) -> None:
    """More than the 4 MiB that a gRPC channel takes by default."""
    rows = [f"ticket-{number}-{'x' * 100}" for number in range(20)]
    codes = [chr(ord("a") + number) * 8 for number in range(26)]
    findings = [
        Finding(code=code, severity="warning", message="m" * 2000, question_ids=rows, count=20) for code in codes
    ]
    for _ in range(50):
        queue.prepared(*findings)
    with TrainerClient(queue.address, TOKEN) as trainer:
        assert sum(job.ByteSize() for job in trainer.list_jobs()) > 4 * 2**20


def test_waiting_for_a_pause_ends_where_it_cannot_come(queue: Queue) -> None:
    ended, running = queue.succeeded(), queue.running()
    with TrainerClient(queue.address, TOKEN) as trainer:
        with pytest.raises(PreconditionError, match="succeeded before it was paused"):
            trainer.wait_paused(ended, 5)
        with pytest.raises(DeadlineError, match="still saves"):
            trainer.wait_paused(running, 0.1)
        with pytest.raises(InvalidInputError, match="has no time zone"):
            trainer.preview_job(trainer.get_job(ended).spec, deadline=datetime(2030, 1, 1))


def test_output_is_plain_where_it_is_no_terminal(queue: Queue, burnish: Here) -> None:
    job_id = queue.succeeded()
    for words in (["ls"], ["show", job_id], ["metrics", job_id], ["watch", job_id]):
        done = burnish("jobs", *words)
        assert "\x1b" not in done.stdout + done.stderr, words
    assert json.loads(burnish("jobs", "metrics", job_id, "--json").stdout)
