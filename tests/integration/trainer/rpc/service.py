"""The trainer's gRPC service on a real socket, without an engine: what it is called with, and what tests put behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.adapter import TrainingSummary
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1 import trainer_pb2_grpc as rpc
from burnish_trainer.artifacts import adapters
from burnish_trainer.artifacts.checkpoints import CheckpointMetrics, Checkpoints
from burnish_trainer.executors.events import Found, Metrics, Note, Succeeded
from burnish_trainer.preflight.types import Preview
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.notifier import Notifier
from burnish_trainer.queue.repository import JobRepository

TOKEN = "the-token"
ALLOWED = (("authorization", f"Bearer {TOKEN}"),)
ADAPTER = VersionRef(name="colours", version="f" * 16)
BASE = BaseModelRef(name="base", digest="sha256:" + "b" * 64)
ALIKE = Finding(
    code="near-duplicate-rows", severity="warning", message="2 rows are alike", question_ids=["q1", "q2"], count=2
)
CUT = Finding(code="completion-cut", severity="refusal", message="too long", question_ids=["q3"], count=1)
ESTIMATE = RunEstimate(
    seconds=60, load_seconds=5, peak_memory_bytes=10**9, disk_bytes=10**7, steps=4, tokens=1000, basis="1 like run"
)
MEASURED = RunMeasurement(seconds=61, load_seconds=4, peak_memory_bytes=9 * 10**8, tokens=1000, queue_seconds=0.4)


@dataclass
class ScriptedPlanner:
    """Says what a test put there; remembers what it was asked."""

    findings: list[Finding] = field(default_factory=lambda: [ALIKE])
    error: Exception | None = None
    asked: list[tuple[JobSpec, datetime | None]] = field(default_factory=list)

    def preview(self, spec: JobSpec, deadline: datetime | None = None, given_up: Event | None = None) -> Preview:
        self.asked.append((spec, deadline))
        if self.error:
            raise self.error
        refused = any(finding.severity == "refusal" for finding in self.findings)
        return Preview(findings=self.findings, workload=None, estimate=None if refused else ESTIMATE, kind="0" * 64)


@dataclass
class Service:
    stub: rpc.TrainerStub
    channel: grpc.aio.Channel
    repository: JobRepository
    notifier: Notifier
    planner: ScriptedPlanner
    store: MemoryObjectStore
    dataset: VersionRef
    pairs: VersionRef
    thumbs: VersionRef
    database: Database
    address: str

    def spec(self, method: str = "sft", **fields: object) -> pb.TuningSpec:
        dataset = {"sft": self.dataset, "kto": self.thumbs}.get(method, self.pairs)
        params = {method: getattr(pb, f"{method.capitalize()}Params")()}
        reference = pb.DatasetRef(name=dataset.name, version=dataset.version)
        return pb.TuningSpec(**{"dataset": reference, "adapter_name": "colours", **params, **fields})

    async def create(self, request_id: str = "", **fields: Any) -> pb.TuningJob:
        place = {name: fields.pop(name) for name in ("priority", "labels", "deadline") if name in fields}
        request = pb.CreateTuningJobRequest(spec=self.spec(**fields), request_id=request_id, **place)
        return await self.stub.CreateTuningJob(request, metadata=ALLOWED)

    async def watch(self, job_id: str, after: int = 0, until_now: bool = False) -> list[pb.TuningJobEvent]:
        request = pb.WatchTuningJobRequest(job_id=job_id, after_sequence=after, until_now=until_now)
        return [event async for event in self.stub.WatchTuningJob(request, metadata=ALLOWED, timeout=20)]

    async def ids(self, **filters: Any) -> list[str]:
        answer = await self.stub.ListTuningJobs(pb.ListTuningJobsRequest(**filters), metadata=ALLOWED)
        return [job.job_id for job in answer.jobs]


def in_hours(hours: int) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours))
    return message


SUMMARY = TrainingSummary(
    steps=4,
    best_step=2,
    first_train_loss=2,
    final_train_loss=1,
    best_validation_loss=0.5,
    trained_tokens=100,
    duration_seconds=5,
    peak_memory_bytes=10**8,
    stopped_early=False,
)
RUN = adapters.RunRecord(
    adapter_name="colours", base_model=BASE, backend="peft", device="cpu", dtype="float32", packages={"peft": "0"}
)


def put_checkpoint(
    store: MemoryObjectStore, job_id: str, folder: Path, step: int, loss: float, adapter: str = "colours"
) -> None:
    """A whole checkpoint, as a worker seals and uploads it."""
    checkpoints = Checkpoints(store, job_id, folder)
    checkpoints.at(step).mkdir()
    files = {"adapter_config.json": b'{"r": 32}', "adapter_model.safetensors": b"weights %d" % step}
    for name, data in (files | {"trainer_state.json": b'{"global_step": %d}' % step}).items():
        (checkpoints.at(step) / name).write_bytes(data)
    metrics = CheckpointMetrics(step=step, epoch=step / 4, validation_loss=loss, elapsed_seconds=step, training=SUMMARY)
    checkpoints.upload(checkpoints.seal(metrics, RUN.model_copy(update={"adapter_name": adapter})))


def put_adapter(store: MemoryObjectStore) -> VersionRef:
    """An SFT adapter to go on from."""
    described = adapters.Description(
        job_id="job-1",
        spec=JobSpec.model_validate(
            {
                "dataset": {"name": "colours", "version": "0" * 16},
                "adapter_name": "first",
                "method": "sft",
                "params": {},
                "lora": {"rank": 8},
                "optimizer": {"learning_rate": 1e-4, "evaluation_interval_steps": 1},
            }
        ),
        run=RUN,
        training=SUMMARY,
        findings=[],
    )
    version = "a" * 16
    manifest = described.manifest(version)
    store.put(f"adapters/first/{version}/manifest.json", manifest.model_dump_json().encode())
    return VersionRef(name="first", version=version)


def run_to_the_end(repository: JobRepository, job_id: str) -> None:
    start(repository, job_id)
    overfitting = Finding(code="overfitting", severity="warning", message="validation rises")
    said = [
        Note(message="hello"),
        Metrics(step=1, total_steps=1, epoch=1, train_loss=2.5),
        Found(finding=overfitting),
        Succeeded(adapter=ADAPTER, measured=MEASURED),
    ]
    repository.ingest(job_id, "engine-a", said, 0, 100)


def start(repository: JobRepository, job_id: str) -> None:
    """Prepared and running on the CPU."""
    assert repository.claim_preparation("engine-a", (), 30)
    preview = Preview(findings=[ALIKE], workload=None, estimate=ESTIMATE, kind="0" * 64)
    repository.prepared(job_id, "engine-a", preview, None)
    assert repository.claim_device("engine-a", (), ("cpu",), 1, 30)
    repository.start_attempt(job_id, "engine-a", 0.1)
