"""The RPCs: proto in, proto out, no decisions of its own. The only file of this service that imports the stubs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import grpc.aio
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import TypeAdapter, ValidationError

from burnish.digests import canonical_json, sha256_hex
from burnish.errors import InvalidInputError, from_dict
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1 import trainer_pb2_grpc as rpc
from burnish_trainer.acceptance import Acceptance
from burnish_trainer.events import Metrics
from burnish_trainer.interceptors import to_status
from burnish_trainer.jobs import Job, JobEvent, State
from burnish_trainer.news import QUEUE, News
from burnish_trainer.repository import JobRepository
from burnish_trainer.spec import JobSpec, VersionRef

Answer = TypeVar("Answer")
Context: TypeAlias = grpc.aio.ServicerContext

SERVICE_NAME: str = pb.DESCRIPTOR.services_by_name["Trainer"].full_name
DEFAULT_PAGE_SIZE = 100
MAXIMUM_PAGE_SIZE = 1000
MAXIMUM_REQUEST_ID = 64
WATCH_BATCH = 500
WATCH_POLL_SECONDS = 1.0
_CURSOR: TypeAdapter[tuple[datetime, str]] = TypeAdapter(tuple[datetime, str])
_STATES = {state: pb.TuningJob.State.Value(f"STATE_{state.name}") for state in State}
_QUANTIZATIONS = {"none": pb.QUANTIZATION_NONE, "nf4": pb.QUANTIZATION_NF4}
_BACKENDS = {"auto": pb.BACKEND_UNSPECIFIED, "peft": pb.BACKEND_PEFT, "unsloth": pb.BACKEND_UNSLOTH}


class TrainerServicer(rpc.TrainerServicer):
    """burnish.trainer.v1.Trainer over the queue. Errors are translated by interceptors.py."""

    def __init__(self, repository: JobRepository, acceptance: Acceptance, news: News) -> None:
        self._repository = repository
        self._acceptance = acceptance
        self._news = news

    async def CreateTuningJob(self, request: pb.CreateTuningJobRequest, context: Context) -> pb.TuningJob:
        job = await _in_thread(self._create, request)
        self._news.tell(QUEUE)
        return job_message(job)

    def _create(self, request: pb.CreateTuningJobRequest) -> Job:
        if len(request.request_id) > MAXIMUM_REQUEST_ID:
            raise InvalidInputError(f"request_id has more than {MAXIMUM_REQUEST_ID} characters", field="request_id")
        digest = sha256_hex(canonical_json(MessageToDict(request.spec, preserving_proto_field_name=True)))
        if request.request_id and (made := self._repository.by_request(request.request_id, digest)):
            return made
        return self._repository.create(
            self._acceptance.accept(spec_fields(request.spec)), request.request_id or None, digest
        )

    async def GetTuningJob(self, request: pb.GetTuningJobRequest, context: Context) -> pb.TuningJob:
        return job_message(await _in_thread(self._repository.get, request.job_id))

    async def ListTuningJobs(self, request: pb.ListTuningJobsRequest, context: Context) -> pb.ListTuningJobsResponse:
        size = request.page_size or DEFAULT_PAGE_SIZE
        if not 1 <= size <= MAXIMUM_PAGE_SIZE:
            raise InvalidInputError(f"page_size: {size} is not in 1…{MAXIMUM_PAGE_SIZE}", field="page_size")
        states = [_state(number) for number in request.states]
        before = _read_page_token(request.page_token) if request.page_token else None
        jobs = await _in_thread(self._repository.newest, states, size + 1, before)
        answer = pb.ListTuningJobsResponse(jobs=[job_message(job) for job in jobs[:size]])
        if len(jobs) > size:
            answer.next_page_token = _page_token(jobs[size - 1])
        return answer

    async def CancelTuningJob(self, request: pb.CancelTuningJobRequest, context: Context) -> pb.TuningJob:
        job = await _in_thread(self._repository.cancel, request.job_id)
        self._news.tell(job.job_id)
        return job_message(job)

    async def WatchTuningJob(
        self, request: pb.WatchTuningJobRequest, context: Context
    ) -> AsyncIterator[pb.TuningJobEvent]:
        if request.after_sequence < 0:
            raise InvalidInputError("after_sequence: give 0 or the last sequence seen", field="after_sequence")
        after = request.after_sequence
        with self._news.subscribe(request.job_id) as subscription:
            while True:
                job = await _in_thread(self._repository.get, request.job_id)
                for event in await _in_thread(self._repository.events_after, job.job_id, after, WATCH_BATCH):
                    yield event_message(event)
                    after = event.sequence
                if job.state.ended and after >= job.last_sequence:
                    return
                if after >= job.last_sequence:
                    await subscription.changed(WATCH_POLL_SECONDS)


async def _in_thread(function: Callable[..., Answer], *arguments: Any) -> Answer:
    return await asyncio.to_thread(function, *arguments)


def _state(number: int) -> State:
    for state, value in _STATES.items():
        if value == number:
            return state
    raise InvalidInputError(f"states: {number} is no state to filter by", field="states")


def _page_token(last: Job) -> str:
    cursor = json.dumps([last.create_time.isoformat(), last.job_id])
    return base64.urlsafe_b64encode(cursor.encode()).decode()


def _read_page_token(token: str) -> tuple[datetime, str]:
    try:
        return _CURSOR.validate_json(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValidationError, UnicodeError) as error:
        raise InvalidInputError("page_token: send one that a list answer gave", field="page_token") from error


def spec_fields(spec: pb.TuningSpec) -> dict[str, Any]:
    """The fields that the caller set, nested and named as in spec.JobSpec."""
    method = spec.WhichOneof("method")
    if method is None:
        raise InvalidInputError("spec.method: set `sft` or `dpo`", field="method")
    fields: dict[str, Any] = {"method": method, "params": _set_fields(getattr(spec, method))}
    for name in ("dataset", "lora", "optimizer"):
        if spec.HasField(name):
            fields[name] = _set_fields(getattr(spec, name))
    fields["adapter_name"] = spec.adapter_name
    fields["quantization"] = _named(spec.quantization, _QUANTIZATIONS, "quantization", default="none")
    fields["backend"] = _named(spec.backend, _BACKENDS, "backend", default="auto")
    if spec.HasField("seed"):
        fields["seed"] = spec.seed
    return fields


def _set_fields(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            fields[descriptor.name] = _set_fields(value)
        else:
            fields[descriptor.name] = list(value) if descriptor.name == "target_modules" else value
    return fields


def _named(number: int, names: dict[str, Any], field: str, default: str) -> str:
    if number == 0:
        return default
    for name, value in names.items():
        if value == number:
            return name
    raise InvalidInputError(f"{field}: {number} is not known to this trainer", field=field)


def job_message(job: Job) -> pb.TuningJob:
    return pb.TuningJob(
        job_id=job.job_id,
        spec=spec_message(job.spec),
        state=_STATES[job.state],
        error=to_status(from_dict(job.error)) if job.error and job.state is State.FAILED else None,
        adapter=_adapter_message(job.adapter),
        create_time=_timestamp(job.create_time),
        start_time=_timestamp(job.start_time),
        end_time=_timestamp(job.end_time),
        attempts=job.attempts,
        progress=_metrics_message(job.progress) if job.progress else None,
        request_id=job.request_id or "",
    )


def spec_message(spec: JobSpec) -> pb.TuningSpec:
    message = pb.TuningSpec(
        dataset=pb.DatasetRef(name=spec.dataset.name, version=spec.dataset.version),
        adapter_name=spec.adapter_name,
        lora=pb.LoraParams(**spec.lora.model_dump()),
        optimizer=pb.OptimizerParams(**spec.optimizer.model_dump()),
        quantization=_QUANTIZATIONS[spec.quantization],
        backend=_BACKENDS[spec.backend],
        seed=spec.seed,
    )
    if spec.method == "sft":
        message.sft.SetInParent()
    else:
        initial = spec.params.get("initial_adapter")
        adapter = _adapter_message(VersionRef.model_validate(initial)) if initial else None
        message.dpo.CopyFrom(pb.DpoParams(beta=spec.params["beta"], initial_adapter=adapter))
    return message


def event_message(event: JobEvent) -> pb.TuningJobEvent:
    return pb.TuningJobEvent(
        sequence=event.sequence,
        time=_timestamp(event.time),
        state_change=_STATES[event.state] if event.state else None,
        metrics=_metrics_message(event.metrics) if event.metrics else None,
        message=event.message,
    )


def _metrics_message(metrics: Metrics) -> pb.StepMetrics:
    return pb.StepMetrics(**metrics.model_dump(exclude={"time", "kind", "repeated"}))


def _adapter_message(adapter: VersionRef | None) -> pb.AdapterRef | None:
    return pb.AdapterRef(name=adapter.name, version=adapter.version) if adapter else None


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message
