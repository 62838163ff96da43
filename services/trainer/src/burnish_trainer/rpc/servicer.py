"""The RPCs: each finds who answers and translates; no decisions of its own. messages.py has the translations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import grpc.aio
from google.protobuf.json_format import MessageToDict

from burnish.digests import canonical_json, sha256_hex
from burnish.errors import InvalidInputError
from burnish.ports import ObjectStore
from burnish.telemetry.tracing import traceparent
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1 import trainer_pb2_grpc as rpc
from burnish_trainer.artifacts import checkpoint_models
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.preflight.types import Planner
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import QUEUE, News
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.rpc.admission import Acceptance
from burnish_trainer.rpc.messages import (
    adapter_message,
    checkpoint_message,
    event_message,
    job_message,
    moment,
    page_token,
    preview_message,
    read_page_token,
    spec_fields,
    states,
)

Answer = TypeVar("Answer")
Context: TypeAlias = grpc.aio.ServicerContext

SERVICE_NAME: str = pb.DESCRIPTOR.services_by_name["Trainer"].full_name
DEFAULT_PAGE_SIZE = 100
MAXIMUM_PAGE_SIZE = 1000
MAXIMUM_REQUEST_ID = 64
WATCH_BATCH = 500
WATCH_POLL_SECONDS = 1.0
PREVIEWS_AT_ONCE = 2  # each blocks a thread for as long as preflight takes; the other calls must not wait for them


class TrainerServicer(rpc.TrainerServicer):
    """burnish.trainer.v1.Trainer over the queue. Errors are translated by interceptors.py."""

    def __init__(
        self,
        repository: JobRepository,
        acceptance: Acceptance,
        news: News,
        planner: Planner,
        store: ObjectStore,
        metrics: TrainerMetrics | None = None,
    ) -> None:
        self._repository = repository
        self._acceptance = acceptance
        self._news = news
        self._planner = planner
        self._store = store
        self._metrics = metrics or TrainerMetrics()
        self._previews = ThreadPoolExecutor(PREVIEWS_AT_ONCE, thread_name_prefix="preview")

    async def CreateTuningJob(self, request: pb.CreateTuningJobRequest, context: Context) -> pb.TuningJob:
        job = await _in_thread(self._create, request)
        self._news.tell(QUEUE)
        return job_message(job)

    def _create(self, request: pb.CreateTuningJobRequest) -> Job:
        deadline = moment(request, "deadline")
        digest = _request_digest(request)
        if request.request_id and (made := self._repository.by_request(request.request_id, digest)):
            return made
        spec = self._acceptance.accept(spec_fields(request.spec))
        place = self._acceptance.place(request.priority, request.labels, deadline)
        return self._repository.create(
            spec, request.request_id or None, digest, **dict(place), traceparent=traceparent()
        )

    async def PreviewTuningJob(self, request: pb.CreateTuningJobRequest, context: Context) -> pb.TuningJobPreview:
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._previews, context.run, self._preview, request)

    def _preview(self, request: pb.CreateTuningJobRequest) -> pb.TuningJobPreview:
        spec = self._acceptance.accept(spec_fields(request.spec))
        place = self._acceptance.place(request.priority, request.labels, moment(request, "deadline"))
        return preview_message(spec, self._planner.preview(spec, place.deadline))

    async def GetTuningJob(self, request: pb.GetTuningJobRequest, context: Context) -> pb.TuningJob:
        return job_message(await _in_thread(self._repository.get, request.job_id))

    async def ListTuningJobs(self, request: pb.ListTuningJobsRequest, context: Context) -> pb.ListTuningJobsResponse:
        size = request.page_size or DEFAULT_PAGE_SIZE
        if not 1 <= size <= MAXIMUM_PAGE_SIZE:
            raise InvalidInputError(f"page_size: {size} is not in 1…{MAXIMUM_PAGE_SIZE}", field="page_size")
        before = read_page_token(request.page_token) if request.page_token else None
        jobs = await _in_thread(self._newest, request, size + 1, before)
        answer = pb.ListTuningJobsResponse(jobs=[job_message(job) for job in jobs[:size]])
        if len(jobs) > size:
            answer.next_page_token = page_token(jobs[size - 1])
        return answer

    def _newest(self, request: pb.ListTuningJobsRequest, limit: int, before: tuple[datetime, str] | None) -> list[Job]:
        return self._repository.newest(
            states(request.states),
            limit,
            before,
            labels=dict(request.labels),
            adapter_name=request.adapter_name,
            dataset_name=request.dataset_name,
        )

    async def CancelTuningJob(self, request: pb.CancelTuningJobRequest, context: Context) -> pb.TuningJob:
        return await self._changed(self._repository.cancel, request.job_id)

    async def PauseTuningJob(self, request: pb.PauseTuningJobRequest, context: Context) -> pb.TuningJob:
        return await self._changed(self._repository.pause, request.job_id)

    async def ResumeTuningJob(self, request: pb.ResumeTuningJobRequest, context: Context) -> pb.TuningJob:
        return await self._changed(self._repository.resume, request.job_id)

    async def _changed(self, change: Callable[[str], Job], job_id: str) -> pb.TuningJob:
        job = await _in_thread(change, job_id)
        self._metrics.ended(job)  # by this very call: what has ended before refuses it
        self._news.tell(job.job_id)
        self._news.tell(QUEUE)
        return job_message(job)

    async def ListCheckpoints(self, request: pb.ListCheckpointsRequest, context: Context) -> pb.ListCheckpointsResponse:
        job = await _in_thread(self._repository.get, request.job_id)
        kept = await _in_thread(checkpoint_models.list_checkpoints, self._store, job.job_id)
        return pb.ListCheckpointsResponse(checkpoints=[checkpoint_message(checkpoint) for checkpoint in kept])

    async def PublishCheckpoint(self, request: pb.PublishCheckpointRequest, context: Context) -> pb.AdapterRef:
        job = await _in_thread(self._repository.get, request.job_id)
        version = await _in_thread(
            checkpoint_models.publish_checkpoint,
            self._store,
            job.job_id,
            request.step,
            job.spec,
            job.findings,
            job.estimate,
        )
        return adapter_message(version)

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
                if after < job.last_sequence:
                    continue
                if job.state.ended or request.until_now:
                    return
                await subscription.changed(WATCH_POLL_SECONDS)


async def _in_thread(function: Callable[..., Answer], *arguments: Any) -> Answer:
    return await asyncio.to_thread(function, *arguments)


def _request_digest(request: pb.CreateTuningJobRequest) -> str:
    """Of all that the request asks for: spec, priority, labels and deadline."""
    if len(request.request_id) > MAXIMUM_REQUEST_ID:
        raise InvalidInputError(f"request_id has more than {MAXIMUM_REQUEST_ID} characters", field="request_id")
    asked = MessageToDict(request, preserving_proto_field_name=True)
    asked.pop("request_id", None)
    return sha256_hex(canonical_json(asked))
