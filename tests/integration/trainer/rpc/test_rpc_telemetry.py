"""What is told of each RPC over a real socket: span, metrics by method and status, log line, and the trace that a job keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from integration.trainer.rpc.service import ALLOWED, BASE, TOKEN, ScriptedPlanner
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from unit.trainer.made import put_dataset, sft_rows

from burnish.objectstores.memory import MemoryObjectStore
from burnish.telemetry.tracing import Tracing
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1 import trainer_pb2_grpc as rpc
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.notifier import Notifier
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.rpc.admission import Admission
from burnish_trainer.rpc.interceptor import EdgeInterceptor
from burnish_trainer.rpc.server import Health, build_server
from burnish_trainer.rpc.servicer import TrainerServicer
from burnish_trainer.rpc.telemetry import CallTelemetry

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"), ("x-request-id", "r-1"))
SERVICE = "burnish.trainer.v1.Trainer"
LOGGER = "burnish_trainer.requests"


@dataclass
class Watched:
    """A trainer's service without an engine, and what it has recorded."""

    channel: grpc.aio.Channel
    metrics: TrainerMetrics
    ended: InMemorySpanExporter
    repository: JobRepository
    planner: ScriptedPlanner
    spec: pb.TuningSpec

    @property
    def stub(self) -> rpc.TrainerStub:
        return rpc.TrainerStub(self.channel)

    def count(self, method: str, status: str) -> float | None:
        name = "burnish_trainer_request_seconds_count"
        return self.metrics.registry.get_sample_value(name, {"method": method, "status": status})


@pytest.fixture
async def watched(database: Database) -> AsyncIterator[Watched]:
    store, health, metrics, ended = MemoryObjectStore(), Health(), TrainerMetrics(), InMemorySpanExporter()
    repository, planner = JobRepository(database), ScriptedPlanner()
    servicer = TrainerServicer(repository, Admission(store, BASE, ["cpu"]), Notifier(), planner, store, metrics)
    server = build_server(servicer, TOKEN, health, metrics, Tracing("burnish-trainer", SimpleSpanProcessor(ended)))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await health.set_serving(True)
    dataset = put_dataset(store, sft_rows(8))
    reference = pb.DatasetRef(name=dataset.name, version=dataset.version)
    spec = pb.TuningSpec(dataset=reference, adapter_name="colours", sft=pb.SftParams())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Watched(channel, metrics, ended, repository, planner, spec)
    await server.stop(None)


async def test_a_call_goes_on_with_the_callers_trace_and_the_job_keeps_it(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", LOGGER):
        request = pb.CreateTuningJobRequest(spec=watched.spec)
        job = await watched.stub.CreateTuningJob(request, metadata=ALLOWED + TRACED)
    (span,) = watched.ended.get_finished_spans()
    assert span.name == f"{SERVICE}/CreateTuningJob"
    assert (span.kind.name, f"{span.context.trace_id:032x}") == ("SERVER", TRACE)
    kept = watched.repository.get(job.job_id).traceparent or ""
    assert kept.startswith(f"00-{TRACE}-{span.context.span_id:016x}-")
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    assert (record.method, record.status) == (f"{SERVICE}/CreateTuningJob", "OK")  # type: ignore[attr-defined]
    assert watched.count(f"{SERVICE}/CreateTuningJob", "OK") == 1


async def test_a_call_without_a_trace_begins_one(watched: Watched) -> None:
    job = await watched.stub.CreateTuningJob(pb.CreateTuningJobRequest(spec=watched.spec), metadata=ALLOWED)
    assert watched.repository.get(job.job_id).traceparent
    assert watched.ended.get_finished_spans()[0].parent is None


async def test_calls_are_counted_by_the_status_in_which_they_end(watched: Watched) -> None:
    for metadata, status in ((ALLOWED, "NOT_FOUND"), ((), "UNAUTHENTICATED")):
        with pytest.raises(grpc.aio.AioRpcError):
            await watched.stub.GetTuningJob(pb.GetTuningJobRequest(job_id="job-x"), metadata=metadata)
        assert watched.count(f"{SERVICE}/GetTuningJob", status) == 1
    unknown = watched.channel.unary_unary("/secret.Service/Secret")
    with pytest.raises(grpc.aio.AioRpcError):
        await unknown(b"", metadata=ALLOWED)
    assert watched.count("unmatched", "UNIMPLEMENTED") == 1
    watched.planner.error = ZeroDivisionError("a defect")
    with pytest.raises(grpc.aio.AioRpcError):
        await watched.stub.PreviewTuningJob(pb.CreateTuningJobRequest(spec=watched.spec), metadata=ALLOWED)
    for _ in range(100):  # it is counted after it was answered
        if watched.count(f"{SERVICE}/PreviewTuningJob", "INTERNAL") is not None:
            break
        await asyncio.sleep(0.02)
    assert watched.count(f"{SERVICE}/PreviewTuningJob", "INTERNAL") == 1
    refused, forbidden, defect = (span.status.is_ok for span in watched.ended.get_finished_spans())
    assert (refused, forbidden, defect) == (True, True, False)


async def test_a_stream_is_one_call_that_its_watcher_may_leave(watched: Watched) -> None:
    job = await watched.stub.CreateTuningJob(pb.CreateTuningJobRequest(spec=watched.spec), metadata=ALLOWED)
    request = pb.WatchTuningJobRequest(job_id=job.job_id, until_now=True)
    assert [event async for event in watched.stub.WatchTuningJob(request, metadata=ALLOWED)]
    assert watched.count(f"{SERVICE}/WatchTuningJob", "OK") == 1
    call = watched.stub.WatchTuningJob(pb.WatchTuningJobRequest(job_id=job.job_id), metadata=ALLOWED)
    await call.read()
    call.cancel()
    for _ in range(200):
        if watched.count(f"{SERVICE}/WatchTuningJob", "CANCELLED"):
            break
        await watched.stub.ListTuningJobs(pb.ListTuningJobsRequest(), metadata=ALLOWED)
    assert watched.count(f"{SERVICE}/WatchTuningJob", "CANCELLED") == 1


async def test_a_job_that_a_call_cancels_has_ended_by_it(watched: Watched) -> None:
    job = await watched.stub.CreateTuningJob(pb.CreateTuningJobRequest(spec=watched.spec), metadata=ALLOWED)
    await watched.stub.PauseTuningJob(pb.PauseTuningJobRequest(job_id=job.job_id), metadata=ALLOWED)
    cancel = pb.CancelTuningJobRequest(job_id=job.job_id)
    await watched.stub.CancelTuningJob(cancel, metadata=ALLOWED)
    with pytest.raises(grpc.aio.AioRpcError, match="nothing to cancel"):
        await watched.stub.CancelTuningJob(cancel, metadata=ALLOWED)
    name, labels = "burnish_trainer_jobs_ended_total", {"state": "cancelled", "method": "sft"}
    assert watched.metrics.registry.get_sample_value(name, labels) == 1


async def test_an_error_names_the_callers_request(watched: Watched) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await watched.stub.GetTuningJob(pb.GetTuningJobRequest(job_id="job-x"), metadata=ALLOWED + TRACED)
    assert dict(raised.value.trailing_metadata())["x-request-id"] == "r-1"


async def test_health_checks_are_counted_and_not_traced(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", LOGGER):
        await health_pb2_grpc.HealthStub(watched.channel).Check(health_pb2.HealthCheckRequest())
    assert watched.count("grpc.health.v1.Health/Check", "OK") == 1
    assert watched.ended.get_finished_spans() == ()
    assert [record for record in caplog.records if record.name == LOGGER] == []


async def test_a_stream_that_another_task_closes_is_told_as_well(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """As the event loop closes one that was left while its answer was on the way."""

    class Called:
        def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
            return (*ALLOWED, *TRACED)

    async def forever(_request: object, _context: object) -> AsyncIterator[int]:
        while True:
            yield 1

    edge = EdgeInterceptor(TOKEN, CallTelemetry(watched.metrics, Tracing("test")))
    stream = edge._stream(forever, "/Watch")(None, Called())
    with caplog.at_level("INFO"):
        assert await anext(stream) == 1
        await asyncio.create_task(stream.aclose())
    assert watched.count("Watch", "CANCELLED") == 1
    assert [record.levelname for record in caplog.records if record.name != "asyncio"] == ["INFO"]
