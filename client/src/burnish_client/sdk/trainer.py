"""SDK of the trainer (gRPC): preview, create, list, watch, pause, resume and cancel tuning jobs, and their checkpoints. Synchronous.

The only file of the client that calls the stub; its messages are burnish_protos.trainer.v1.trainer_pb2's.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from burnish.errors import (
    BurnishError,
    DeadlineError,
    HeldError,
    InvalidInputError,
    PreconditionError,
    UnavailableError,
)
from burnish.schemas.training.job_state import JobState
from burnish_client.sdk import errors as wire
from burnish_client.sdk.transport import tls, tracing
from burnish_client.sdk.transport.grpc_channel import GrpcAddress
from burnish_client.sdk.transport.service_client import ServiceClient
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1.trainer_pb2_grpc import TrainerStub

PREVIEW_SECONDS = 660.0  # longer than the trainer gives preflight, so that the trainer can say what took so long
PAGE_SIZE = 200
MAXIMUM_MESSAGE_BYTES = 64 * 1024 * 1024  # a page of jobs with all their findings
ATTEMPTS = 4
BACKOFF_SECONDS = 0.25  # before the second attempt; doubles
RECONNECT_SECONDS = 120.0  # how long a broken watch keeps trying without one new event
BROKEN = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED}
)
SERVICE = {"service": "burnish.trainer.v1.Trainer"}
# gRPC retries every call but three. A preview is not asked for again if the trainer itself gave it up, a stream of
# events may break after its first message, which gRPC does not retry, and a job that is deleted already is not found.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [SERVICE],
            "retryPolicy": {
                "maxAttempts": ATTEMPTS,
                "initialBackoff": f"{BACKOFF_SECONDS}s",
                "maxBackoff": f"{4 * BACKOFF_SECONDS}s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        },
        {
            "name": [
                SERVICE | {"method": "PreviewTuningJob"},
                SERVICE | {"method": "WatchTuningJob"},
                SERVICE | {"method": "DeleteTuningJob"},
            ]
        },
    ]
}

Answer = TypeVar("Answer")


def job_state(number: pb.TuningJob.State | int) -> JobState:
    """`JobState.RUNNING` for STATE_RUNNING."""
    return JobState(pb.TuningJob.State.Name(number).removeprefix("STATE_").lower())


def to_dict(message: Message) -> dict[str, Any]:
    """A message as JSON-ready values under its proto field names, an error's ErrorInfo included."""
    pool = error_details_pb2.DESCRIPTOR.pool
    values: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool)
    return values


def final_series(events: Iterable[pb.TuningJobEvent]) -> list[pb.TuningJobEvent]:
    """The metrics events of a job without repetitions: the last training and the last evaluation metrics of each step.

    Ascending by step, the training metrics of a step before its evaluation. A step is reported again if a later attempt
    runs it again and its figures differ; the job's events keep every report.
    """
    last: dict[tuple[int, bool], pb.TuningJobEvent] = {}
    for event in events:
        if event.WhichOneof("event") == "metrics":
            last[event.metrics.step, event.metrics.HasField("validation_loss")] = event
    return [last[key] for key in sorted(last)]


class _Stub(Protocol):
    """The generated stub, which carries no types of its own."""

    CreateTuningJob: Callable[..., pb.TuningJob]
    GetTuningJob: Callable[..., pb.TuningJob]
    ListTuningJobs: Callable[..., pb.ListTuningJobsResponse]
    PreviewTuningJob: Callable[..., pb.TuningJobPreview]
    PauseTuningJob: Callable[..., pb.TuningJob]
    ResumeTuningJob: Callable[..., pb.TuningJob]
    CancelTuningJob: Callable[..., pb.TuningJob]
    DeleteTuningJob: Callable[..., object]
    ListCheckpoints: Callable[..., pb.ListCheckpointsResponse]
    PublishCheckpoint: Callable[..., pb.AdapterRef]
    WatchTuningJob: Callable[..., Iterable[pb.TuningJobEvent]]


class TrainerClient(ServiceClient):
    """Calls of the trainer. Raises the BurnishErrors that it raised; UnavailableError if it does not answer.

    Every call but delete is safe to retry (create carries a request_id) and is retried a few times while the trainer cannot be
    reached. address: `host:port`, `grpc://host:port` or, for TLS, `grpcs://host:port`.
    """

    service = "trainer"

    def __init__(self, address: str, token: str, *, ca: Path | None = None, timeout_seconds: float = 30.0) -> None:
        super().__init__(address, token, ca=ca, timeout_seconds=timeout_seconds)
        options = [
            ("grpc.max_receive_message_length", MAXIMUM_MESSAGE_BYTES),
            ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        ]
        self._parsed = GrpcAddress.parse(address)
        self._channel = self._parsed.open(ca, options)
        self._stub: _Stub = TrainerStub(self._channel)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        self._channel.close()

    def check_access(self) -> str | None:
        self._call(self._stub.ListTuningJobs, pb.ListTuningJobsRequest(page_size=1))
        return None

    def create_job(
        self,
        spec: pb.TuningSpec,
        request_id: str | None = None,
        *,
        priority: int = 0,
        labels: Mapping[str, str] | None = None,
        deadline: datetime | None = None,
    ) -> pb.TuningJob:
        """Queue a job. The same request_id and body give the same job; None makes a new id, so that retries cannot queue twice.

        priority: -100 to 100, higher first, then older first. labels: at most 16, to filter lists by. deadline: aware and
        in the future; a job that has not ended by then fails with DeadlineError. Raises AlreadyExistsError if the
        request_id made a job from another body.
        """
        request = _create_request(spec, priority, labels, deadline)
        request.request_id = request_id or uuid.uuid4().hex
        return self._call(self._stub.CreateTuningJob, request)

    def preview_job(
        self, spec: pb.TuningSpec, *, deadline: datetime | None = None, timeout_seconds: float = PREVIEW_SECONDS
    ) -> pb.TuningJobPreview:
        """Check and estimate a job as its preparation would, and queue nothing.

        A spec that preflight refuses is an answer (`refused`, with its findings), not an error. A malformed spec raises
        as create_job does.
        """
        request = _create_request(spec, 0, None, deadline)
        return self._call(_retry_unanswered(self._stub.PreviewTuningJob), request, timeout_seconds)

    def get_job(self, job_id: str) -> pb.TuningJob:
        return self._call(self._stub.GetTuningJob, pb.GetTuningJobRequest(job_id=job_id))

    def list_jobs(
        self,
        states: Sequence[JobState] = (),
        limit: int | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        adapter_name: str | None = None,
        dataset_name: str | None = None,
        at_provider: bool = False,
    ) -> list[pb.TuningJob]:
        """Newest first, all pages up to `limit`. Only jobs in one of the states, with all of the labels, of the names.

        at_provider: only hosted jobs that run there, or have left something there.
        """
        request = pb.ListTuningJobsRequest(
            states=[pb.TuningJob.State.Value(f"STATE_{state.upper()}") for state in states],
            page_size=min(limit or PAGE_SIZE, PAGE_SIZE),
            labels=labels,
            adapter_name=adapter_name,
            dataset_name=dataset_name,
            at_provider=at_provider,
        )
        jobs: list[pb.TuningJob] = []
        while True:
            page = self._call(self._stub.ListTuningJobs, request)
            jobs.extend(page.jobs)
            if not page.next_page_token or (limit and len(jobs) >= limit):
                return jobs[:limit]
            request.page_token = page.next_page_token

    def versions_in_use(self, kind: Literal["dataset", "adapter"]) -> dict[tuple[str, str], str]:
        """(name, version) -> job: what jobs that have not ended read (datasets), or go on from (adapters)."""
        used: dict[tuple[str, str], str] = {}
        for job in self.list_jobs([state for state in JobState if not state.ended]):
            spec = job.spec
            read = [spec.dataset] if kind == "dataset" else [spec.dpo.initial_adapter, spec.kto.initial_adapter]
            used |= {(each.name, each.version): job.job_id for each in read if each.name}
        return used

    def check_unused(self, kind: Literal["dataset", "adapter"], name: str, version: str) -> None:
        """Raise HeldError, which names the job, if one that has not ended needs this version."""
        if job_id := self.versions_in_use(kind).get((name, version)):
            raise HeldError(
                f"{kind} {name}@{version} is held: {job_id} needs it and has not ended; "
                f"`burnish jobs cancel {job_id}` ends it",
                holders=job_id,
            )

    def cancel_job(self, job_id: str) -> pb.TuningJob:
        """End a job that has not ended; PreconditionError for one that has."""
        return self._call(self._stub.CancelTuningJob, pb.CancelTuningJobRequest(job_id=job_id))

    def delete_job(self, job_id: str) -> None:
        """Remove a job that has ended, with its events and checkpoints. Raises HeldError while an adapter version came from it."""
        self._call(self._stub.DeleteTuningJob, pb.DeleteTuningJobRequest(job_id=job_id))

    def events(self, job_id: str, after_sequence: int = 0) -> list[pb.TuningJobEvent]:
        """Every event after `after_sequence` until now, in order. Does not wait for more."""
        request = pb.WatchTuningJobRequest(job_id=job_id, after_sequence=after_sequence, until_now=True)

        @_retry_unanswered
        def read_all(*args: Any, **options: Any) -> list[pb.TuningJobEvent]:
            return list(self._stub.WatchTuningJob(*args, **options))

        return self._call(read_all, request)

    def pause_job(self, job_id: str) -> pb.TuningJob:
        """Ask a job to save a checkpoint and free its device. The answer may still say running: call `wait_paused`, or watch it.

        Pausing a paused job changes nothing; PreconditionError for one that has ended.
        """
        return self._call(self._stub.PauseTuningJob, pb.PauseTuningJobRequest(job_id=job_id))

    def resume_job(self, job_id: str) -> pb.TuningJob:
        """Put a paused job back into the queue, to go on from its last checkpoint; PreconditionError for any other."""
        return self._call(self._stub.ResumeTuningJob, pb.ResumeTuningJobRequest(job_id=job_id))

    def list_checkpoints(self, job_id: str) -> list[pb.CheckpointInfo]:
        """Those that are still kept, ascending by step."""
        request = pb.ListCheckpointsRequest(job_id=job_id)
        return list(self._call(self._stub.ListCheckpoints, request).checkpoints)

    def publish_checkpoint(self, job_id: str, step: int) -> pb.AdapterRef:
        """Make a checkpoint an adapter version, to be used, evaluated and promoted as any other. Idempotent.

        Raises NotFoundError if the job has no checkpoint of that step.
        """
        return self._call(self._stub.PublishCheckpoint, pb.PublishCheckpointRequest(job_id=job_id, step=step))

    def watch(self, job_id: str, after_sequence: int = 0) -> Iterator[pb.TuningJobEvent]:
        """Every event after `after_sequence`, each once and in order, until the job has ended.

        A broken stream is opened again after the last event seen. After RECONNECT_SECONDS without any event this raises
        UnavailableError.
        """
        seen, heard_at, pause = after_sequence, time.monotonic(), BACKOFF_SECONDS
        while True:
            before = seen
            request = pb.WatchTuningJobRequest(job_id=job_id, after_sequence=seen)
            try:
                for event in self._stub.WatchTuningJob(request, metadata=self._metadata()):
                    if event.sequence <= seen:
                        continue
                    seen, heard_at, pause = event.sequence, time.monotonic(), BACKOFF_SECONDS
                    yield event
                    if event.WhichOneof("event") == "state_change" and job_state(event.state_change).ended:
                        return
                if seen == before and self._has_ended(job_id):
                    return
            except grpc.RpcError as error:
                if error.code() not in BROKEN or _has_details(error):
                    raise wire.from_rpc(error, self._where) from error
                if fault := self._tls_fault():
                    raise fault from error
            if time.monotonic() - heard_at > RECONNECT_SECONDS:
                raise UnavailableError(
                    f"{self._where}: the stream of {job_id} broke and did not come back in {RECONNECT_SECONDS:.0f} s: "
                    f"`burnish jobs watch {job_id}` tries again",
                    job_id=job_id,
                )
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _has_ended(self, job_id: str) -> bool:
        """False also if the trainer cannot be reached."""
        try:
            return job_state(self.get_job(job_id).state).ended
        except UnavailableError:
            return False

    def wait(self, job_id: str, timeout_seconds: float) -> pb.TuningJob:
        """Block until the job has ended. DeadlineError after timeout_seconds (the job continues)."""
        return self._poll(job_id, lambda state: state.ended, timeout_seconds, "runs on")

    def wait_paused(self, job_id: str, timeout_seconds: float) -> pb.TuningJob:
        """Block until a job that was asked to pause is paused. DeadlineError after timeout_seconds (the job still pauses).

        Raises PreconditionError if the job ended before it could pause.
        """
        job = self._poll(job_id, lambda state: state is JobState.PAUSED or state.ended, timeout_seconds, "still saves")
        if (state := job_state(job.state)).ended:
            raise PreconditionError(f"{job_id} {state} before it was paused", job_id=job_id, state=state)
        return job

    def _poll(
        self, job_id: str, is_reached: Callable[[JobState], bool], timeout_seconds: float, meanwhile: str
    ) -> pb.TuningJob:
        deadline = time.monotonic() + timeout_seconds
        while not is_reached(state := job_state((job := self.get_job(job_id)).state)):
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"{job_id} is still {state} after {timeout_seconds:.0f} s and {meanwhile}: "
                    f"`burnish jobs watch {job_id}` follows it",
                    job_id=job_id,
                )
            time.sleep(0.2)
        return job

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token}"), *tracing.headers().items())

    def _call(self, method: Callable[..., Answer], request: Message, timeout_seconds: float | None = None) -> Answer:
        try:
            return method(request, metadata=self._metadata(), timeout=timeout_seconds or self._timeout_seconds)
        except grpc.RpcError as error:
            fault = self._tls_fault() if _is_unanswered(error) else None
            raise fault or wire.from_rpc(error, self._where) from error

    def _tls_fault(self) -> BurnishError | None:
        """Why TLS keeps us from the trainer, if it does."""
        return tls.find_fault(str(self._parsed), self._ca)


def _create_request(
    spec: pb.TuningSpec, priority: int, labels: Mapping[str, str] | None, deadline: datetime | None
) -> pb.CreateTuningJobRequest:
    if deadline is not None and deadline.tzinfo is None:
        raise InvalidInputError(
            f"deadline {deadline.isoformat()} has no time zone: give an aware datetime", field="deadline"
        )
    request = pb.CreateTuningJobRequest(spec=spec, priority=priority, labels=labels)
    if deadline is not None:
        request.deadline.FromDatetime(deadline)
    return request


def _has_details(error: grpc.RpcError) -> bool:
    """True if the trainer itself said why, so that the connection is not broken."""
    return any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())


def _is_unanswered(error: BaseException) -> bool:
    """True if the trainer could not be reached, or the connection to it broke."""
    return isinstance(error, grpc.RpcError) and error.code() is grpc.StatusCode.UNAVAILABLE and not _has_details(error)


_retry_unanswered = retry(
    retry=retry_if_exception(_is_unanswered),
    stop=stop_after_attempt(ATTEMPTS),
    wait=wait_exponential(multiplier=BACKOFF_SECONDS),
    reraise=True,
)
