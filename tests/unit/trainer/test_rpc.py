"""The RPCs over a real socket, without an engine: idempotency, paging, watching, errors and who may call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from unit.trainer.made import put_dataset, sft_rows

from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import BaseModelRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1 import trainer_pb2_grpc as rpc
from burnish_trainer.acceptance import Acceptance
from burnish_trainer.database import Database
from burnish_trainer.events import Metrics, Note, Succeeded
from burnish_trainer.interceptors import STATUS_DETAILS
from burnish_trainer.news import News
from burnish_trainer.repository import JobRepository
from burnish_trainer.server import Health, build_server
from burnish_trainer.servicer import TrainerServicer
from burnish_trainer.spec import VersionRef

TOKEN = "the-token"
ALLOWED = (("authorization", f"Bearer {TOKEN}"),)
ADAPTER = VersionRef(name="colours", version="f" * 16)


@dataclass
class Door:
    stub: rpc.TrainerStub
    channel: grpc.aio.Channel
    repository: JobRepository
    news: News
    dataset: VersionRef
    database: Database

    def spec(self, **fields: object) -> pb.TuningSpec:
        dataset = pb.DatasetRef(name=self.dataset.name, version=self.dataset.version)
        return pb.TuningSpec(**{"dataset": dataset, "adapter_name": "colours", "sft": pb.SftParams(), **fields})

    async def create(self, request_id: str = "", **fields: object) -> pb.TuningJob:
        request = pb.CreateTuningJobRequest(spec=self.spec(**fields), request_id=request_id)
        return await self.stub.CreateTuningJob(request, metadata=ALLOWED)

    async def watch(self, job_id: str, after: int = 0) -> list[pb.TuningJobEvent]:
        request = pb.WatchTuningJobRequest(job_id=job_id, after_sequence=after)
        return [event async for event in self.stub.WatchTuningJob(request, metadata=ALLOWED, timeout=20)]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    database = Database(f"sqlite:///{tmp_path / 'queue.db'}")
    database.migrate()
    store, news, health = MemoryObjectStore(), News(), Health()
    repository = JobRepository(database)
    acceptance = Acceptance(store, BaseModelRef(name="base", digest="sha256:" + "b" * 64), "cpu")
    server = build_server(TrainerServicer(repository, acceptance, news), TOKEN, health)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await health.set_serving(True)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Door(rpc.TrainerStub(channel), channel, repository, news, put_dataset(store, sft_rows(8)), database)
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
    ],
)
async def test_bad_requests_are_invalid_arguments(door: Door, request_: object) -> None:
    create = isinstance(request_, pb.CreateTuningJobRequest)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await (door.stub.CreateTuningJob if create else door.stub.ListTuningJobs)(request_, metadata=ALLOWED)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


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
        assert [event.sequence for event in await watcher] == [1, 2, 3, 4, 5]
    events = await door.watch(job.job_id)
    assert [event.WhichOneof("event") for event in events] == [
        "state_change",
        "state_change",
        "message",
        "metrics",
        "state_change",
    ]
    assert events[3].metrics.train_loss == 2.5
    assert not events[3].metrics.HasField("validation_loss")
    assert [event.sequence for event in await door.watch(job.job_id, after=3)] == [4, 5]
    assert await door.watch(job.job_id, after=5) == []
    ended = await door.stub.GetTuningJob(pb.GetTuningJobRequest(job_id=job.job_id), metadata=ALLOWED)
    assert (ended.adapter.name, ended.adapter.version) == (ADAPTER.name, ADAPTER.version)
    assert ended.progress.train_loss == 2.5


def run_to_the_end(repository: JobRepository, job_id: str) -> None:
    assert repository.claim("engine-a", (), 30)
    job = repository.start_attempt(job_id, "engine-a")
    said = [Note(message="hello"), Metrics(step=1, total_steps=1, epoch=1, train_loss=2.5), Succeeded(adapter=ADAPTER)]
    repository.ingest(job.job_id, "engine-a", said, 0, 100)


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),), (("authorization", TOKEN),)])
async def test_without_the_token_nothing_is_answered_but_health(door: Door, metadata: tuple[object, ...]) -> None:
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
