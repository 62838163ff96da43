"""The RPCs over a real socket, without an engine: idempotency, previews, pausing, checkpoints, paging, watching, errors and who may call."""

from __future__ import annotations

import asyncio
from datetime import UTC
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from integration.trainer.rpc.service import (
    ADAPTER,
    ALIKE,
    ALLOWED,
    CUT,
    TOKEN,
    Service,
    in_hours,
    put_adapter,
    put_checkpoint,
    run_to_the_end,
    start,
)

from burnish.errors import UnavailableError
from burnish.schemas.base import VersionRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_trainer.artifacts import adapters
from burnish_trainer.rpc.interceptor import STATUS_DETAILS


def details(error: grpc.aio.AioRpcError) -> tuple[status_pb2.Status, error_details_pb2.ErrorInfo]:
    """The google.rpc.Status and its ErrorInfo, which comes first, from the trailing metadata."""
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())[STATUS_DETAILS])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return status, info


def violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Of the BadRequest, which comes second."""
    bad_request = error_details_pb2.BadRequest()
    assert details(error)[0].details[1].Unpack(bad_request)
    return {violation.field: violation.description for violation in bad_request.field_violations}


async def test_a_created_job_comes_back_with_every_default(service: Service) -> None:
    job = await service.create("first", lora=pb.LoraParams(rank=16))
    assert job.job_id.startswith("job-")
    assert (job.state, job.request_id, job.attempts) == (pb.TuningJob.STATE_PENDING, "first", 0)
    assert (job.spec.lora.rank, job.spec.lora.alpha, len(job.spec.lora.target_modules)) == (16, 16, 7)
    assert (job.spec.optimizer.learning_rate, job.spec.optimizer.batch_size) == (5e-4, 8)
    assert job.spec.HasField("seed")
    assert job.spec.WhichOneof("method") == "sft"
    assert job.spec.quantization == pb.QUANTIZATION_NONE
    assert job == await service.stub.GetTuningJob(pb.GetTuningJobRequest(job_id=job.job_id), metadata=ALLOWED)


async def test_racing_creates_with_one_request_id_give_one_job(service: Service) -> None:
    jobs = await asyncio.gather(*(service.create("same") for _ in range(16)))
    assert len({job.job_id for job in jobs}) == 1
    assert len({(await service.create()).job_id for _ in range(2)}) == 2, "without a request_id nothing is deduplicated"


async def test_a_request_id_with_another_body_is_refused(service: Service) -> None:
    await service.create("same")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await service.create("same", seed=5)
    assert refusal.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert details(refusal.value)[1].reason == "ALREADY_EXISTS"


async def test_errors_carry_reason_field_and_domain(service: Service) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await service.create(lora=pb.LoraParams(rank=600))
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
        pb.ListTuningJobsRequest(page_token="made up"),
        pb.ListTuningJobsRequest(page_token="WyIxIl0="),
        pb.ListTuningJobsRequest(states=[77]),
        pb.ListTuningJobsRequest(states=[0]),
    ],
)
async def test_bad_requests_are_invalid_arguments(service: Service, request_: object) -> None:
    create = isinstance(request_, pb.CreateTuningJobRequest)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await (service.stub.CreateTuningJob if create else service.stub.ListTuningJobs)(request_, metadata=ALLOWED)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_with_many_faults_is_told_all_of_them(service: Service) -> None:
    spec = service.spec(lora=pb.LoraParams(rank=600, dropout=2), adapter_name="../up", backend=9)
    request = pb.CreateTuningJobRequest(
        spec=spec, request_id="x" * 65, priority=101, labels={"No": ""}, deadline=Timestamp(seconds=1)
    )
    for call in (service.stub.CreateTuningJob, service.stub.PreviewTuningJob):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(request, metadata=ALLOWED)
        told = violations(refusal.value)
        wrong = {
            "spec.lora.rank",
            "spec.lora.dropout",
            "spec.adapter_name",
            "spec.backend",
            "priority",
            "labels",
            "deadline",
        }
        assert set(told) - {"request_id"} == wrong
        assert told["spec.lora.rank"] == "must be at most 512, not 600"
        assert "lora.rank: must be at most 512, not 600" in refusal.value.details()
        assert "Input should" not in refusal.value.details()
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await service.stub.CreateTuningJob(pb.CreateTuningJobRequest(), metadata=ALLOWED)
    missing = {"spec.method", "spec.dataset.name", "spec.dataset.version", "spec.adapter_name"}
    assert set(violations(refusal.value)) == missing


async def test_a_fault_that_only_the_store_shows_names_its_field_too(service: Service) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await service.create(optimizer=pb.OptimizerParams(batch_size=4096, gradient_accumulation_steps=4096))
    assert list(violations(refusal.value)) == ["spec.optimizer.gradient_accumulation_steps"]


async def test_every_method_goes_in_and_comes_out(service: Service) -> None:
    initial = put_adapter(service.store)
    first = pb.AdapterRef(name=initial.name, version=initial.version)
    given = {
        "sft": pb.SftParams(),
        "dpo": pb.DpoParams(beta=0.25, initial_adapter=first),
        "kto": pb.KtoParams(beta=0.5, desirable_weight=2, undesirable_weight=0.75, initial_adapter=first),
        "orpo": pb.OrpoParams(beta=0.25),
        "simpo": pb.SimpoParams(beta=2.5, gamma=0.5),
    }
    for method, params in given.items():
        spec = (await service.create(**{"method": method, method: params})).spec
        assert spec.WhichOneof("method") == method
        assert getattr(spec, method) == params
    spec = (await service.create(method="kto")).spec
    assert spec.kto == pb.KtoParams(beta=0.1, desirable_weight=1, undesirable_weight=1)
    accepted = (await service.create(accepted_findings=["duplicate-rows"], lora=pb.LoraParams(use_rslora=True))).spec
    assert list(accepted.accepted_findings) == ["duplicate-rows"]
    assert (accepted.lora.use_rslora, accepted.lora.use_dora, accepted.device_count) == (True, False, 1)


async def test_priority_labels_and_deadline_are_kept_and_part_of_the_request(service: Service) -> None:
    place = {"priority": 5, "labels": {"team": "search"}, "deadline": in_hours(2)}
    job = await service.create("placed", **place)
    assert (job.priority, dict(job.labels), job.deadline) == (5, {"team": "search"}, place["deadline"])
    assert (await service.create("placed", **place)).job_id == job.job_id
    for change in ({"priority": 6}, {"labels": {"team": "ads"}}, {"deadline": in_hours(3)}):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await service.create("placed", **(place | change))
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
async def test_a_wrong_field_is_named(service: Service, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await service.create(**fields)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(refusal.value)[1].metadata["field"] == named


async def test_a_preview_says_what_preparation_would_and_queues_nothing(service: Service) -> None:
    deadline = in_hours(1)
    request = pb.CreateTuningJobRequest(spec=service.spec(seed=7), deadline=deadline)
    preview = await service.stub.PreviewTuningJob(request, metadata=ALLOWED)
    assert (preview.spec.seed, preview.spec.lora.rank, preview.refused) == (7, 32, False)
    assert [finding.code for finding in preview.findings] == ["near-duplicate-rows"]
    assert preview.estimate.seconds == 60
    assert await service.ids() == []
    assert service.planner.asked[0][1] == deadline.ToDatetime(tzinfo=UTC)

    service.planner.findings = [CUT, ALIKE]
    refused = await service.stub.PreviewTuningJob(request, metadata=ALLOWED)
    assert (refused.refused, refused.HasField("estimate")) == (True, False)
    assert [finding.severity for finding in refused.findings] == [
        pb.Finding.SEVERITY_REFUSAL,
        pb.Finding.SEVERITY_WARNING,
    ]


async def test_a_preview_that_cannot_be_made_is_an_error(service: Service) -> None:
    service.planner.error = UnavailableError("the checker died")
    for request, code in (
        (pb.CreateTuningJobRequest(spec=service.spec()), grpc.StatusCode.UNAVAILABLE),
        (pb.CreateTuningJobRequest(spec=service.spec(adapter_name="../up")), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await service.stub.PreviewTuningJob(request, metadata=ALLOWED)
        assert refusal.value.code() is code


async def test_pause_and_resume(service: Service) -> None:
    waiting, running = await service.create(), await service.create()
    pause = pb.PauseTuningJobRequest(job_id=waiting.job_id)
    for _ in range(2):
        assert (await service.stub.PauseTuningJob(pause, metadata=ALLOWED)).state == pb.TuningJob.STATE_PAUSED
    await asyncio.to_thread(start, service.repository, running.job_id)
    asked = await service.stub.PauseTuningJob(pb.PauseTuningJobRequest(job_id=running.job_id), metadata=ALLOWED)
    assert (asked.state, list(asked.devices)) == (pb.TuningJob.STATE_RUNNING, ["cpu"])
    assert service.repository.get(running.job_id).pause_requested
    resume = pb.ResumeTuningJobRequest(job_id=waiting.job_id)
    assert (await service.stub.ResumeTuningJob(resume, metadata=ALLOWED)).state == pb.TuningJob.STATE_PENDING
    await service.stub.CancelTuningJob(pb.CancelTuningJobRequest(job_id=waiting.job_id), metadata=ALLOWED)
    for call, request in ((service.stub.PauseTuningJob, pause), (service.stub.ResumeTuningJob, resume)):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(request, metadata=ALLOWED)
        assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_lists_are_filtered_by_all_that_is_given(service: Service) -> None:
    first = await service.create(labels={"team": "search", "try": "1"})
    second = await service.create(labels={"team": "search"}, method="dpo", adapter_name="other")
    third = await service.create()
    assert await service.ids() == [third.job_id, second.job_id, first.job_id]
    assert await service.ids(labels={"team": "search"}) == [second.job_id, first.job_id]
    assert await service.ids(labels={"team": "search", "try": "1"}) == [first.job_id]
    assert await service.ids(labels={"team": "ads"}) == []
    assert await service.ids(adapter_name="other") == await service.ids(dataset_name="pairs") == [second.job_id]
    assert await service.ids(adapter_name="colours", labels={"team": "search"}) == [first.job_id]
    assert await service.ids(states=[pb.TuningJob.STATE_PAUSED]) == []


async def test_checkpoints_are_listed_and_published(service: Service, tmp_path: Path) -> None:
    job = await service.create()
    request = pb.ListCheckpointsRequest(job_id=job.job_id)
    assert not (await service.stub.ListCheckpoints(request, metadata=ALLOWED)).checkpoints
    for step, loss in ((2, 0.5), (4, 0.75)):
        put_checkpoint(service.store, job.job_id, tmp_path, step, loss)
    kept = (await service.stub.ListCheckpoints(request, metadata=ALLOWED)).checkpoints
    assert [(one.step, one.validation_loss, one.best) for one in kept] == [(2, 0.5, True), (4, 0.75, False)]
    assert kept[0].size_bytes > 0
    assert not kept[0].HasField("adapter")

    publish = pb.PublishCheckpointRequest(job_id=job.job_id, step=4)
    adapter = await service.stub.PublishCheckpoint(publish, metadata=ALLOWED)
    assert adapter == await service.stub.PublishCheckpoint(publish, metadata=ALLOWED)
    kept = (await service.stub.ListCheckpoints(request, metadata=ALLOWED)).checkpoints
    assert [one.HasField("adapter") for one in kept] == [False, True]
    assert kept[1].adapter == adapter
    manifest = adapters.read_manifest(service.store, VersionRef(name=adapter.name, version=adapter.version))
    assert (manifest.job_id, manifest.checkpoint_step) == (job.job_id, 4)
    with pytest.raises(grpc.aio.AioRpcError, match="those kept: 2, 4"):
        await service.stub.PublishCheckpoint(pb.PublishCheckpointRequest(job_id=job.job_id, step=3), metadata=ALLOWED)


async def test_a_job_that_is_not_there_is_not_found(service: Service) -> None:
    for call, request in (
        (service.stub.GetTuningJob, pb.GetTuningJobRequest(job_id="job-0")),
        (service.stub.CancelTuningJob, pb.CancelTuningJobRequest(job_id="job-0")),
        (service.stub.DeleteTuningJob, pb.DeleteTuningJobRequest(job_id="job-0")),
        (service.stub.PauseTuningJob, pb.PauseTuningJobRequest(job_id="job-0")),
        (service.stub.ResumeTuningJob, pb.ResumeTuningJobRequest(job_id="job-0")),
        (service.stub.ListCheckpoints, pb.ListCheckpointsRequest(job_id="job-0")),
        (service.stub.PublishCheckpoint, pb.PublishCheckpointRequest(job_id="job-0", step=1)),
    ):
        with pytest.raises(grpc.aio.AioRpcError, match="burnish jobs ls") as refusal:
            await call(request, metadata=ALLOWED)
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError, match="burnish jobs ls"):
        await service.watch("job-0")


async def test_list_pages_through_everything_once(service: Service) -> None:
    made = [(await service.create()).job_id for _ in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = await service.stub.ListTuningJobs(
            pb.ListTuningJobsRequest(page_size=2, page_token=token), metadata=ALLOWED
        )
        seen += [job.job_id for job in page.jobs]
        if not (token := page.next_page_token):
            break
    assert seen == made[::-1]


async def test_a_large_page_size_is_capped(service: Service) -> None:
    await service.create()
    page = await service.stub.ListTuningJobs(pb.ListTuningJobsRequest(page_size=2_000_000_000), metadata=ALLOWED)
    assert len(page.jobs) == 1


async def test_a_page_token_is_of_its_own_filter_alone(service: Service) -> None:
    for _ in range(3):
        await service.create(labels={"team": "search"})
    first = pb.ListTuningJobsRequest(page_size=1, labels={"team": "search"})
    token = (await service.stub.ListTuningJobs(first, metadata=ALLOWED)).next_page_token
    again = pb.ListTuningJobsRequest(page_size=2, labels={"team": "search"}, page_token=token)
    assert len((await service.stub.ListTuningJobs(again, metadata=ALLOWED)).jobs) == 2, "the page size may change"
    for other in ({}, {"labels": {"team": "ads"}}, {"states": [1]}, {"adapter_name": "x"}, {"dataset_name": "x"}):
        with pytest.raises(grpc.aio.AioRpcError, match="another filter") as refusal:
            await service.stub.ListTuningJobs(pb.ListTuningJobsRequest(page_token=token, **other), metadata=ALLOWED)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert list(violations(refusal.value)) == ["page_token"]


async def test_cancel_ends_a_pending_job_once(service: Service) -> None:
    job = await service.create()
    request = pb.CancelTuningJobRequest(job_id=job.job_id)
    assert (await service.stub.CancelTuningJob(request, metadata=ALLOWED)).state == pb.TuningJob.STATE_CANCELLED
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await service.stub.CancelTuningJob(request, metadata=ALLOWED)
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    states = pb.ListTuningJobsRequest(states=[pb.TuningJob.STATE_CANCELLED])
    assert len((await service.stub.ListTuningJobs(states, metadata=ALLOWED)).jobs) == 1


async def test_an_ended_job_is_deleted_with_all_that_is_its_own_unless_an_adapter_came_from_it(
    service: Service, tmp_path: Path
) -> None:
    job = await service.create("first")
    request = pb.DeleteTuningJobRequest(job_id=job.job_id)

    async def refusal(words: str) -> str:
        with pytest.raises(grpc.aio.AioRpcError, match=words) as refused:
            await service.stub.DeleteTuningJob(request, metadata=ALLOWED)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        return details(refused.value)[1].reason

    assert await refusal(f"burnish jobs cancel {job.job_id}") == "PRECONDITION"
    put_checkpoint(service.store, job.job_id, tmp_path, 2, 0.5)
    publish = pb.PublishCheckpointRequest(job_id=job.job_id, step=2)
    adapter = await service.stub.PublishCheckpoint(publish, metadata=ALLOWED)
    run_to_the_end(service.repository, job.job_id)
    assert await refusal(f"adapter {adapter.name}@{adapter.version} was made from it") == "HELD"
    service.store.delete(f"adapters/{adapter.name}/{adapter.version}/manifest.json")
    await service.stub.DeleteTuningJob(request, metadata=ALLOWED)
    with pytest.raises(grpc.aio.AioRpcError, match="burnish jobs ls"):
        await service.stub.GetTuningJob(pb.GetTuningJobRequest(job_id=job.job_id), metadata=ALLOWED)
    assert list(service.store.list("checkpoints/")) == []
    assert (await service.create("first")).job_id != job.job_id  # nothing of it is left, its request id neither


async def test_many_watchers_see_everything_once_and_end(service: Service) -> None:
    """Watchers that come before, while and after it happens, and one that resumes."""
    job = await service.create()
    early = [asyncio.create_task(service.watch(job.job_id)) for _ in range(10)]
    await asyncio.sleep(0.1)
    await asyncio.to_thread(run_to_the_end, service.repository, job.job_id)
    service.notifier.notify(job.job_id)
    for watcher in early:
        assert [event.sequence for event in await watcher] == list(range(1, 11))
    events = await service.watch(job.job_id)
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
    assert [event.sequence for event in await service.watch(job.job_id, after=8)] == [9, 10]
    assert await service.watch(job.job_id, after=10) == []


async def test_an_ended_job_has_what_was_found_estimated_and_measured(service: Service) -> None:
    job = await service.create()
    await asyncio.to_thread(run_to_the_end, service.repository, job.job_id)
    ended = await service.stub.GetTuningJob(pb.GetTuningJobRequest(job_id=job.job_id), metadata=ALLOWED)
    assert ended.state == pb.TuningJob.STATE_SUCCEEDED
    assert (ended.adapter.name, ended.adapter.version) == (ADAPTER.name, ADAPTER.version)
    assert ended.progress.train_loss == 2.5
    assert [finding.code for finding in ended.findings] == ["near-duplicate-rows", "overfitting"]
    assert (ended.estimate.seconds, ended.estimate.HasField("available_memory_bytes")) == (60, False)
    assert (ended.measured.seconds, ended.measured.queue_seconds) == (61, 0.4)
    assert list(ended.devices) == []


async def test_a_watch_until_now_does_not_wait(service: Service) -> None:
    job = await service.create()
    assert [event.sequence for event in await service.watch(job.job_id, until_now=True)] == [1]
    assert await service.watch(job.job_id, after=1, until_now=True) == []


STRANGERS: list[tuple[tuple[str, str | bytes], ...]] = [
    (),
    (("authorization", "Bearer wrong"),),
    (("authorization", TOKEN),),
    (("authorization", f"Basic {TOKEN}"),),
    (("authorization", f"Bearer {TOKEN}x"),),
    (("token", f"Bearer {TOKEN}"),),
]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_answers_in_both_versions(service: Service, version: str) -> None:
    """As grpcurl asks: which services there are, and the file of each, reflection's own included."""
    ask = service.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )

    async def answer(request: ServerReflectionRequest) -> ServerReflectionResponse:
        return await anext(aiter(ask(iter([request]), metadata=ALLOWED)))

    listed = await answer(ServerReflectionRequest(list_services=""))
    names = {one.name for one in listed.list_services_response.service}
    reflection = {f"grpc.reflection.{one}.ServerReflection" for one in ("v1", "v1alpha")}
    assert names == {"burnish.trainer.v1.Trainer", "grpc.health.v1.Health"} | reflection
    for name in names:
        found = await answer(ServerReflectionRequest(file_containing_symbol=name))
        files = [FileDescriptorProto.FromString(data) for data in found.file_descriptor_response.file_descriptor_proto]
        assert name in {f"{file.package}.{one.name}" for file in files for one in file.service}


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
async def test_every_method_of_the_server_wants_the_token_but_health(
    service: Service, metadata: tuple[object, ...]
) -> None:
    """Whatever is added later is tried here without a word."""
    methods = await every_method(service.channel)
    assert len(methods) >= 13
    for path, method in methods:
        if path in ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"):
            assert await called(service.channel, path, method, metadata) is not None
            continue
        expected = "UNIMPLEMENTED" if path == "/grpc.health.v1.Health/List" else "UNAUTHENTICATED"
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await called(service.channel, path, method, metadata)
        assert refusal.value.code().name == expected, path


@pytest.mark.parametrize("metadata", STRANGERS)
async def test_a_stranger_is_told_why_and_health_serves(service: Service, metadata: tuple[object, ...]) -> None:
    for call in (
        service.stub.GetTuningJob(pb.GetTuningJobRequest(job_id="job-1"), metadata=metadata),
        anext(aiter(service.stub.WatchTuningJob(pb.WatchTuningJobRequest(job_id="job-1"), metadata=metadata))),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert details(refusal.value)[1].reason == "UNAUTHENTICATED"
    health = health_pb2_grpc.HealthStub(service.channel)
    for service in ("", "burnish.trainer.v1.Trainer"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service), metadata=metadata)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_unknown_failure_is_logged_and_told_by_request_id_only(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with service.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE tuning_jobs RENAME COLUMN spec TO gone")
    metadata = (*ALLOWED, ("x-request-id", "find-me"))
    for call in (
        service.stub.GetTuningJob(pb.GetTuningJobRequest(job_id="job-1"), metadata=metadata),
        anext(aiter(service.stub.WatchTuningJob(pb.WatchTuningJobRequest(job_id="job-1"), metadata=metadata))),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call
        assert failure.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)
        assert details(failure.value)[1].metadata["request_id"] == "find-me"
