"""The RPCs: each translates a call for the queue, preflight or the checkpoints, and their answer back. messages.py translates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict

from burnish.digests import canonical_json, sha256_hex
from burnish.errors import InvalidInputError
from burnish.layout import hosted
from burnish.ports import ObjectStore
from burnish.registry.holding import Thing
from burnish.registry.removal import check_free
from burnish.schemas.training.job import JobSpec
from burnish.telemetry.tracing import traceparent
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1 import trainer_pb2_grpc as rpc
from burnish_trainer.artifacts import checkpoint_models, checkpoints
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.preflight.types import Planner
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import QUEUE, Notifier
from burnish_trainer.queue.repository import JobRepository, check_ended
from burnish_trainer.rpc.admission import Admission, QueueOptions, check_fields, queue_options
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
from burnish_trainer.rpc.telemetry import Context
from burnish_trainer.rpc.violations import Gathered

SERVICE_NAME: str = pb.DESCRIPTOR.services_by_name["Trainer"].full_name
DEFAULT_PAGE_SIZE = 100
MAXIMUM_PAGE_SIZE = 1000
MAXIMUM_REQUEST_ID = 64
WATCH_BATCH = 500
WATCH_POLL_SECONDS = 1.0
PREVIEWS_AT_ONCE = 2  # each blocks a thread for as long as preflight takes, and must not hold up other calls


class TrainerServicer(rpc.TrainerServicer):
    """burnish.trainer.v1.Trainer over the queue. interceptor.py translates errors."""

    def __init__(
        self,
        repository: JobRepository,
        admission: Admission,
        notifier: Notifier,
        planner: Planner,
        store: ObjectStore,
        metrics: TrainerMetrics | None = None,
    ) -> None:
        self._repository = repository
        self._admission = admission
        self._notifier = notifier
        self._planner = planner
        self._store = store
        self._metrics = metrics or TrainerMetrics()
        self._previews = ThreadPoolExecutor(PREVIEWS_AT_ONCE, thread_name_prefix="preview")

    async def CreateTuningJob(self, request: pb.CreateTuningJobRequest, context: Context) -> pb.TuningJob:
        job = await asyncio.to_thread(self._create, request)
        self._notifier.notify(QUEUE)
        return job_message(job)

    def _create(self, request: pb.CreateTuningJobRequest) -> Job:
        gathered = Gathered()
        with gathered.also():
            digest = _request_digest(request)
            if request.request_id and (made := self._repository.by_request(request.request_id, digest)):
                return made
        spec, options = self._admitted(request, gathered)
        return self._repository.create(
            spec, request.request_id or None, digest, **dict(options), traceparent=traceparent()
        )

    def _admitted(self, request: pb.CreateTuningJobRequest, gathered: Gathered) -> tuple[JobSpec, QueueOptions]:
        """gathered: what is wrong with the request already. InvalidInputError names all that is, before anything is read."""
        fields = spec_fields(request.spec)
        with gathered.also("spec."):
            check_fields(fields)
        with gathered.also():
            options = queue_options(request.priority, request.labels, moment(request, "deadline"))
        gathered.raise_all()
        with gathered.also("spec."):
            spec = self._admission.admit(fields)
        gathered.raise_all()
        return spec, options

    async def PreviewTuningJob(self, request: pb.CreateTuningJobRequest, context: Context) -> pb.TuningJobPreview:
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._previews, context.run, self._preview, request)

    def _preview(self, request: pb.CreateTuningJobRequest) -> pb.TuningJobPreview:
        spec, options = self._admitted(request, Gathered())
        return preview_message(spec, self._planner.preview(spec, options.deadline))

    async def GetTuningJob(self, request: pb.GetTuningJobRequest, context: Context) -> pb.TuningJob:
        return job_message(await asyncio.to_thread(self._repository.get, request.job_id))

    async def ListTuningJobs(self, request: pb.ListTuningJobsRequest, context: Context) -> pb.ListTuningJobsResponse:
        if request.page_size < 0:
            raise InvalidInputError("page_size: give a number above 0, or none", field="page_size")
        size = min(request.page_size or DEFAULT_PAGE_SIZE, MAXIMUM_PAGE_SIZE)
        jobs = await asyncio.to_thread(
            self._repository.newest,
            states(request.states),
            size + 1,
            read_page_token(request),
            dict(request.labels),
            request.adapter_name,
            request.dataset_name,
            request.at_provider,
        )
        answer = pb.ListTuningJobsResponse(jobs=[job_message(job) for job in jobs[:size]])
        if len(jobs) > size:
            answer.next_page_token = page_token(jobs[size - 1], request)
        return answer

    async def CancelTuningJob(self, request: pb.CancelTuningJobRequest, context: Context) -> pb.TuningJob:
        return await self._changed(self._repository.cancel, request.job_id)

    async def DeleteTuningJob(self, request: pb.DeleteTuningJobRequest, context: Context) -> Empty:
        await asyncio.to_thread(self._delete, request.job_id)
        return Empty()

    def _delete(self, job_id: str) -> None:
        """The queue's rows nearly last: if it is interrupted before, the same call ends it. A hosted job's record may outlive
        them, since it alone tells what was sent."""
        job = self._repository.get(job_id)
        check_ended(job.job_id, job.state)
        check_free(self._store, Thing("job", job.job_id, job.job_id))
        checkpoints.delete_all(self._store, job.job_id)
        self._repository.delete(job.job_id)
        self._store.delete(hosted(job.job_id))

    async def PauseTuningJob(self, request: pb.PauseTuningJobRequest, context: Context) -> pb.TuningJob:
        return await self._changed(self._repository.pause, request.job_id)

    async def ResumeTuningJob(self, request: pb.ResumeTuningJobRequest, context: Context) -> pb.TuningJob:
        return await self._changed(self._repository.resume, request.job_id)

    async def _changed(self, change: Callable[[str], Job], job_id: str) -> pb.TuningJob:
        job = await asyncio.to_thread(change, job_id)
        self._metrics.ended(job)  # by this call: a job that had ended before refuses it
        self._notifier.requested(job.job_id)
        return job_message(job)

    async def ListCheckpoints(self, request: pb.ListCheckpointsRequest, context: Context) -> pb.ListCheckpointsResponse:
        job = await asyncio.to_thread(self._repository.get, request.job_id)
        kept = await asyncio.to_thread(checkpoint_models.list_checkpoints, self._store, job.job_id)
        return pb.ListCheckpointsResponse(checkpoints=[checkpoint_message(checkpoint) for checkpoint in kept])

    async def PublishCheckpoint(self, request: pb.PublishCheckpointRequest, context: Context) -> pb.AdapterRef:
        job = await asyncio.to_thread(self._repository.get, request.job_id)
        version = await asyncio.to_thread(
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
        with self._notifier.subscribe(request.job_id) as subscription:
            while True:
                job = await asyncio.to_thread(self._repository.get, request.job_id)
                for event in await asyncio.to_thread(self._repository.events_after, job.job_id, after, WATCH_BATCH):
                    yield event_message(event)
                    after = event.sequence
                if after < job.last_sequence:
                    continue
                if job.state.ended or request.until_now:
                    return
                await subscription.changed(WATCH_POLL_SECONDS)


def _request_digest(request: pb.CreateTuningJobRequest) -> str:
    """Of everything that the request asks for: spec, priority, labels and deadline. InvalidInputError if that cannot be told."""
    moment(request, "deadline")
    if len(request.request_id) > MAXIMUM_REQUEST_ID:
        raise InvalidInputError(f"request_id has more than {MAXIMUM_REQUEST_ID} characters", field="request_id")
    body = MessageToDict(request, preserving_proto_field_name=True)
    body.pop("request_id", None)
    return sha256_hex(canonical_json(body))
