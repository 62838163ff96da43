"""The RPCs over a real socket, without an engine: idempotency, previews, pausing, checkpoints, paging, watching, errors and who may call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from unit.trainer.made import dpo_rows, kto_rows, put_dataset, sft_rows

from burnish.errors import UnavailableError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.adapter import TrainingSummary
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.job import JobSpec
from burnish.schemas.tuning import Finding, RunEstimate, RunMeasurement
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1 import trainer_pb2_grpc as rpc
from burnish_trainer.artifacts import adapters
from burnish_trainer.artifacts.checkpoints import CheckpointMetrics, Checkpoints
from burnish_trainer.executors.events import Found, Metrics, Note, Succeeded
from burnish_trainer.preflight.types import Preview
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.notifier import News
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.rpc.admission import Acceptance
from burnish_trainer.rpc.interceptors import STATUS_DETAILS
from burnish_trainer.rpc.server import Health, build_server
from burnish_trainer.rpc.servicer import TrainerServicer

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

    def preview(self, spec: JobSpec, deadline: datetime | None = None) -> Preview:
        self.asked.append((spec, deadline))
        if self.error:
            raise self.error
        refused = any(finding.severity == "refusal" for finding in self.findings)
        return Preview(findings=self.findings, workload=None, estimate=None if refused else ESTIMATE, kind="0" * 64)


@dataclass
class Door:
    stub: rpc.TrainerStub
    channel: grpc.aio.Channel
    repository: JobRepository
    news: News
    planner: ScriptedPlanner
    store: MemoryObjectStore
    dataset: VersionRef
    pairs: VersionRef
    thumbs: VersionRef
    database: Database

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


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    database = Database(f"sqlite:///{tmp_path / 'queue.db'}")
    database.migrate()
    store, news, health, planner = MemoryObjectStore(), News(), Health(), ScriptedPlanner()
    repository = JobRepository(database)
    acceptance = Acceptance(store, BASE, ["cpu"])
    server = build_server(TrainerServicer(repository, acceptance, news, planner, store), TOKEN, health)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await health.set_serving(True)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Door(
            rpc.TrainerStub(channel),
            channel,
            repository,
            news,
            planner,
            store,
            put_dataset(store, sft_rows(8)),
            put_dataset(store, dpo_rows(8), name="pairs"),
            put_dataset(store, kto_rows(8), name="thumbs"),
            database,
        )
    await server.stop(None)
    database.close()


def details(error: grpc.aio.AioRpcError) -> tuple[status_pb2.Status, error_details_pb2.ErrorInfo]:
    """The google.rpc.Status and its one ErrorInfo, from the trailing metadata."""
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())[STATUS_DETAILS])
    info = error_details_pb2.ErrorInfo()
    assert len(status.details) == 1
    assert status.details[0].Unpack(info)
    return status, info


async def test_a_created_job_comes_back_with_every_default(door: Door) -> None:
    job = await door.create("first", lora=pb.LoraParams(rank=16))
    assert job.job_id.startswith("job-")
    assert (job.state, job.request_id, job.attempts) == (pb.TuningJob.STATE_PENDING, "first", 0)
    assert (job.spec.lora.rank, job.spec.lora.alpha, len(job.spec.lora.target_modules)) == (16, 16, 7)
    assert (job.spec.optimizer.learning_rate, job.spec.optimizer.batch_size) == (1e-4, 8)
    assert job.spec.HasField("seed")
    assert job.spec.WhichOneof("method") == "sft"
    assert job.spec.quantization == pb.QUANTIZATION_NONE
    assert job == await door.stub.GetTuningJob(pb.GetTuningJobRequest(job_id=job.job_id), metadata=ALLOWED)


async def test_racing_creates_with_one_request_id_give_one_job(door: Door) -> None:
    jobs = await asyncio.gather(*(door.create("same") for _ in range(16)))
    assert len({job.job_id for job in jobs}) == 1
    assert len({(await door.create()).job_id for _ in range(2)}) == 2, "without a request_id nothing is deduplicated"


async def test_a_request_id_with_another_body_is_refused(door: Door) -> None:
    await door.create("same")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await door.create("same", seed=5)
    assert refusal.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert details(refusal.value)[1].reason == "ALREADY_EXISTS"


async def test_errors_carry_reason_field_and_domain(door: Door) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await door.create(lora=pb.LoraParams(rank=600))
    status, info = details(refusal.value)
    assert (refusal.value.code(), status.code) == (grpc.StatusCode.INVALID_ARGUMENT, 3)
    assert (info.domain, info.reason, info.metadata["field"]) == ("burnish", "INVALID_INPUT", "lora.rank")
    assert refusal.value.details() == status.message


@pytest.mark.parametrize(
    "request_",
    [
        pb.CreateTuningJobRequest(),
        pb.CreateTuningJobRequest(spec=pb.TuningSpec(sft=pb.SftParams())),
        pb.CreateTuningJobRequest(spec=pb.TuningSpec(sft=pb.SftParams()), request_id="x" * 65),
        pb.ListTuningJobsRequest(page_size=-1),
        pb.ListTuningJobsRequest(page_size=1001),
        pb.ListTuningJobsRequest(page_token="made up"),
        pb.ListTuningJobsRequest(page_token="WyIxIl0="),
        pb.ListTuningJobsRequest(states=[77]),
        pb.ListTuningJobsRequest(states=[0]),
    ],
)
async def test_bad_requests_are_invalid_arguments(door: Door, request_: object) -> None:
    create = isinstance(request_, pb.CreateTuningJobRequest)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await (door.stub.CreateTuningJob if create else door.stub.ListTuningJobs)(request_, metadata=ALLOWED)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_every_method_goes_in_and_comes_out(door: Door) -> None:
    initial = put_adapter(door.store)
    first = pb.AdapterRef(name=initial.name, version=initial.version)
    given = {
        "sft": pb.SftParams(),
        "dpo": pb.DpoParams(beta=0.25, initial_adapter=first),
        "kto": pb.KtoParams(beta=0.5, desirable_weight=2, undesirable_weight=0.75, initial_adapter=first),
        "orpo": pb.OrpoParams(beta=0.25),
        "simpo": pb.SimpoParams(beta=2.5, gamma=0.5),
    }
    for method, params in given.items():
        spec = (await door.create(**{"method": method, method: params})).spec
        assert spec.WhichOneof("method") == method
        assert getattr(spec, method) == params
    spec = (await door.create(method="kto")).spec
    assert spec.kto == pb.KtoParams(beta=0.1, desirable_weight=1, undesirable_weight=1)
    accepted = (await door.create(accepted_findings=["duplicate-rows"], lora=pb.LoraParams(use_rslora=True))).spec
    assert list(accepted.accepted_findings) == ["duplicate-rows"]
    assert (accepted.lora.use_rslora, accepted.lora.use_dora, accepted.device_count) == (True, False, 1)


async def test_priority_labels_and_deadline_are_kept_and_part_of_the_request(door: Door) -> None:
    place = {"priority": 5, "labels": {"team": "search"}, "deadline": in_hours(2)}
    job = await door.create("placed", **place)
    assert (job.priority, dict(job.labels), job.deadline) == (5, {"team": "search"}, place["deadline"])
    assert (await door.create("placed", **place)).job_id == job.job_id
    for change in ({"priority": 6}, {"labels": {"team": "ads"}}, {"deadline": in_hours(3)}):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await door.create("placed", **(place | change))
        assert refusal.value.code() is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"labels": {f"name{n}": "" for n in range(17)}}, "labels"),
        ({"labels": {"No": ""}}, "labels"),
        ({"labels": {"long": "x" * 129}}, "labels"),
        ({"deadline": Timestamp(seconds=1)}, "deadline"),
        ({"deadline": Timestamp(seconds=10**17)}, "deadline"),
        ({"accepted_findings": ["no-such-code"]}, "accepted_findings"),
        ({"accepted_findings": ["completion-cut"]}, "accepted_findings"),
        ({"backend": 9}, "backend"),
        ({"method": "kto", "kto": pb.KtoParams(desirable_weight=0)}, "kto.desirable_weight"),
    ],
)
async def test_a_wrong_field_is_named(door: Door, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await door.create(**fields)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(refusal.value)[1].metadata["field"] == named


async def test_a_preview_says_what_preparation_would_and_queues_nothing(door: Door) -> None:
    deadline = in_hours(1)
    request = pb.CreateTuningJobRequest(spec=door.spec(seed=7), deadline=deadline)
    preview = await door.stub.PreviewTuningJob(request, metadata=ALLOWED)
    assert (preview.spec.seed, preview.spec.lora.rank, preview.refused) == (7, 32, False)
    assert [finding.code for finding in preview.findings] == ["near-duplicate-rows"]
    assert preview.estimate.seconds == 60
    assert await door.ids() == []
    assert door.planner.asked[0][1] == deadline.ToDatetime(tzinfo=UTC)

    door.planner.findings = [CUT, ALIKE]
    refused = await door.stub.PreviewTuningJob(request, metadata=ALLOWED)
    assert (refused.refused, refused.HasField("estimate")) == (True, False)
    assert [finding.severity for finding in refused.findings] == [
        pb.Finding.SEVERITY_REFUSAL,
        pb.Finding.SEVERITY_WARNING,
    ]


async def test_a_preview_that_cannot_be_made_is_an_error(door: Door) -> None:
    door.planner.error = UnavailableError("the checker died")
    for request, code in (
        (pb.CreateTuningJobRequest(spec=door.spec()), grpc.StatusCode.UNAVAILABLE),
        (pb.CreateTuningJobRequest(spec=door.spec(adapter_name="../up")), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await door.stub.PreviewTuningJob(request, metadata=ALLOWED)
        assert refusal.value.code() is code


async def test_pause_and_resume(door: Door) -> None:
    waiting, running = await door.create(), await door.create()
    pause = pb.PauseTuningJobRequest(job_id=waiting.job_id)
    for _ in range(2):
        assert (await door.stub.PauseTuningJob(pause, metadata=ALLOWED)).state == pb.TuningJob.STATE_PAUSED
    await asyncio.to_thread(start, door.repository, running.job_id)
    asked = await door.stub.PauseTuningJob(pb.PauseTuningJobRequest(job_id=running.job_id), metadata=ALLOWED)
    assert (asked.state, list(asked.devices)) == (pb.TuningJob.STATE_RUNNING, ["cpu"])
    assert door.repository.get(running.job_id).pause_requested
    resume = pb.ResumeTuningJobRequest(job_id=waiting.job_id)
    assert (await door.stub.ResumeTuningJob(resume, metadata=ALLOWED)).state == pb.TuningJob.STATE_PENDING
    await door.stub.CancelTuningJob(pb.CancelTuningJobRequest(job_id=waiting.job_id), metadata=ALLOWED)
    for call, request in ((door.stub.PauseTuningJob, pause), (door.stub.ResumeTuningJob, resume)):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(request, metadata=ALLOWED)
        assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_lists_are_filtered_by_all_that_is_given(door: Door) -> None:
    first = await door.create(labels={"team": "search", "try": "1"})
    second = await door.create(labels={"team": "search"}, method="dpo", adapter_name="other")
    third = await door.create()
    assert await door.ids() == [third.job_id, second.job_id, first.job_id]
    assert await door.ids(labels={"team": "search"}) == [second.job_id, first.job_id]
    assert await door.ids(labels={"team": "search", "try": "1"}) == [first.job_id]
    assert await door.ids(labels={"team": "ads"}) == []
    assert await door.ids(adapter_name="other") == await door.ids(dataset_name="pairs") == [second.job_id]
    assert await door.ids(adapter_name="colours", labels={"team": "search"}) == [first.job_id]
    assert await door.ids(states=[pb.TuningJob.STATE_PAUSED]) == []


async def test_checkpoints_are_listed_and_published(door: Door, tmp_path: Path) -> None:
    job = await door.create()
    request = pb.ListCheckpointsRequest(job_id=job.job_id)
    assert not (await door.stub.ListCheckpoints(request, metadata=ALLOWED)).checkpoints
    for step, loss in ((2, 0.5), (4, 0.75)):
        put_checkpoint(door.store, job.job_id, tmp_path, step, loss)
    kept = (await door.stub.ListCheckpoints(request, metadata=ALLOWED)).checkpoints
    assert [(one.step, one.validation_loss, one.best) for one in kept] == [(2, 0.5, True), (4, 0.75, False)]
    assert kept[0].size_bytes > 0
    assert not kept[0].HasField("adapter")

    publish = pb.PublishCheckpointRequest(job_id=job.job_id, step=4)
    adapter = await door.stub.PublishCheckpoint(publish, metadata=ALLOWED)
    assert adapter == await door.stub.PublishCheckpoint(publish, metadata=ALLOWED)
    kept = (await door.stub.ListCheckpoints(request, metadata=ALLOWED)).checkpoints
    assert [one.HasField("adapter") for one in kept] == [False, True]
    assert kept[1].adapter == adapter
    manifest = adapters.read_manifest(door.store, VersionRef(name=adapter.name, version=adapter.version))
    assert (manifest.job_id, manifest.checkpoint_step) == (job.job_id, 4)
    with pytest.raises(grpc.aio.AioRpcError, match="those kept: 2, 4"):
        await door.stub.PublishCheckpoint(pb.PublishCheckpointRequest(job_id=job.job_id, step=3), metadata=ALLOWED)


async def test_a_job_that_is_not_there_is_not_found(door: Door) -> None:
    for call, request in (
        (door.stub.GetTuningJob, pb.GetTuningJobRequest(job_id="job-0")),
        (door.stub.CancelTuningJob, pb.CancelTuningJobRequest(job_id="job-0")),
        (door.stub.PauseTuningJob, pb.PauseTuningJobRequest(job_id="job-0")),
        (door.stub.ResumeTuningJob, pb.ResumeTuningJobRequest(job_id="job-0")),
        (door.stub.ListCheckpoints, pb.ListCheckpointsRequest(job_id="job-0")),
        (door.stub.PublishCheckpoint, pb.PublishCheckpointRequest(job_id="job-0", step=1)),
    ):
        with pytest.raises(grpc.aio.AioRpcError, match="burnish jobs ls") as refusal:
            await call(request, metadata=ALLOWED)
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError, match="burnish jobs ls"):
        await door.watch("job-0")


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
    standing = CheckpointMetrics(
        step=step, epoch=step / 4, validation_loss=loss, elapsed_seconds=step, training=SUMMARY
    )
    checkpoints.upload(checkpoints.seal(standing, RUN.model_copy(update={"adapter_name": adapter})))


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


async def test_list_pages_through_everything_once(door: Door) -> None:
    made = [(await door.create()).job_id for _ in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = await door.stub.ListTuningJobs(pb.ListTuningJobsRequest(page_size=2, page_token=token), metadata=ALLOWED)
        seen += [job.job_id for job in page.jobs]
        if not (token := page.next_page_token):
            break
    assert seen == made[::-1]


async def test_cancel_ends_a_pending_job_once(door: Door) -> None:
    job = await door.create()
    request = pb.CancelTuningJobRequest(job_id=job.job_id)
    assert (await door.stub.CancelTuningJob(request, metadata=ALLOWED)).state == pb.TuningJob.STATE_CANCELLED
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await door.stub.CancelTuningJob(request, metadata=ALLOWED)
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    states = pb.ListTuningJobsRequest(states=[pb.TuningJob.STATE_CANCELLED])
    assert len((await door.stub.ListTuningJobs(states, metadata=ALLOWED)).jobs) == 1


async def test_many_watchers_see_everything_once_and_end(door: Door) -> None:
    """Watchers that come before, while and after it happens, and one that resumes."""
    job = await door.create()
    early = [asyncio.create_task(door.watch(job.job_id)) for _ in range(10)]
    await asyncio.sleep(0.1)
    await asyncio.to_thread(run_to_the_end, door.repository, job.job_id)
    door.news.tell(job.job_id)
    for watcher in early:
        assert [event.sequence for event in await watcher] == list(range(1, 11))
    events = await door.watch(job.job_id)
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == [
        *["state_change"] * 2,
        "finding",
        "estimate",
        *["state_change"] * 2,
        "message",
        "metrics",
        "finding",
        "state_change",
    ]
    assert [event.attempt for event in events[6:9]] == [1, 1, 1]
    assert events[2].finding.severity == pb.Finding.SEVERITY_WARNING
    assert list(events[2].finding.question_ids) == ["q1", "q2"]
    assert events[3].estimate.basis == "1 like run"
    assert events[7].metrics.train_loss == 2.5
    assert not events[7].metrics.HasField("validation_loss")
    assert [event.sequence for event in await door.watch(job.job_id, after=8)] == [9, 10]
    assert await door.watch(job.job_id, after=10) == []


async def test_an_ended_job_has_what_was_found_estimated_and_measured(door: Door) -> None:
    job = await door.create()
    await asyncio.to_thread(run_to_the_end, door.repository, job.job_id)
    ended = await door.stub.GetTuningJob(pb.GetTuningJobRequest(job_id=job.job_id), metadata=ALLOWED)
    assert ended.state == pb.TuningJob.STATE_SUCCEEDED
    assert (ended.adapter.name, ended.adapter.version) == (ADAPTER.name, ADAPTER.version)
    assert ended.progress.train_loss == 2.5
    assert [finding.code for finding in ended.findings] == ["near-duplicate-rows", "overfitting"]
    assert (ended.estimate.seconds, ended.estimate.HasField("available_memory_bytes")) == (60, False)
    assert (ended.measured.seconds, ended.measured.queue_seconds) == (61, 0.4)
    assert list(ended.devices) == []


async def test_a_watch_until_now_does_not_wait(door: Door) -> None:
    job = await door.create()
    assert [event.sequence for event in await door.watch(job.job_id, until_now=True)] == [1]
    assert await door.watch(job.job_id, after=1, until_now=True) == []


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


STRANGERS: list[tuple[tuple[str, str | bytes], ...]] = [
    (),
    (("authorization", "Bearer wrong"),),
    (("authorization", TOKEN),),
    (("authorization", f"Basic {TOKEN}"),),
    (("authorization", f"Bearer {TOKEN}x"),),
    (("token", f"Bearer {TOKEN}"),),
]


async def every_method(channel: grpc.aio.Channel) -> list[tuple[str, MethodDescriptor]]:
    """Of every service that the server itself lists (ours, reflection, health), as their descriptors have them."""
    ask = ServerReflectionStub(channel).ServerReflectionInfo
    request = ServerReflectionRequest(list_services="")
    answer = await anext(aiter(ask(iter([request]), metadata=ALLOWED)))
    names = [service.name for service in answer.list_services_response.service]
    services = [descriptor_pool.Default().FindServiceByName(name) for name in names]
    return [(f"/{service.full_name}/{method.name}", method) for service in services for method in service.methods]


def called(channel: grpc.aio.Channel, path: str, method: MethodDescriptor, metadata: Any) -> Any:
    """One call with an empty request; awaiting it gives the first answer."""
    request = GetMessageClass(method.input_type)()
    kind = ("stream" if method.client_streaming else "unary", "stream" if method.server_streaming else "unary")
    make = getattr(channel, "_".join(kind))
    call = make(path, request_serializer=lambda message: message.SerializeToString())
    call = call(iter([request]) if method.client_streaming else request, metadata=metadata, timeout=10)
    return anext(aiter(call)) if method.server_streaming else call


@pytest.mark.parametrize("metadata", STRANGERS)
async def test_every_method_of_the_server_wants_the_token_but_health(door: Door, metadata: tuple[object, ...]) -> None:
    """Whatever is added later is tried here without a word."""
    methods = await every_method(door.channel)
    assert len(methods) >= 13
    for path, method in methods:
        if path in ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"):
            assert await called(door.channel, path, method, metadata) is not None
            continue
        expected = "UNIMPLEMENTED" if path == "/grpc.health.v1.Health/List" else "UNAUTHENTICATED"
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await called(door.channel, path, method, metadata)
        assert refusal.value.code().name == expected, path


@pytest.mark.parametrize("metadata", STRANGERS)
async def test_a_stranger_is_told_why_and_health_serves(door: Door, metadata: tuple[object, ...]) -> None:
    for call in (
        door.stub.GetTuningJob(pb.GetTuningJobRequest(job_id="job-1"), metadata=metadata),
        anext(aiter(door.stub.WatchTuningJob(pb.WatchTuningJobRequest(job_id="job-1"), metadata=metadata))),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert details(refusal.value)[1].reason == "UNAUTHENTICATED"
    health = health_pb2_grpc.HealthStub(door.channel)
    for service in ("", "burnish.trainer.v1.Trainer"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service), metadata=metadata)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_unknown_failure_is_logged_and_told_by_request_id_only(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    with door.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE tuning_jobs RENAME COLUMN spec TO gone")
    metadata = (*ALLOWED, ("x-request-id", "find-me"))
    for call in (
        door.stub.GetTuningJob(pb.GetTuningJobRequest(job_id="job-1"), metadata=metadata),
        anext(aiter(door.stub.WatchTuningJob(pb.WatchTuningJobRequest(job_id="job-1"), metadata=metadata))),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call
        assert failure.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)
        assert details(failure.value)[1].metadata["request_id"] == "find-me"
