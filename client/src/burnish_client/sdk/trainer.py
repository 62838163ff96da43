"""SDK of the trainer (gRPC): preview, create, list, watch, pause, resume and cancel tuning jobs, and their checkpoints. Synchronous.

The only file of the client that imports the stubs; it gives their message classes on to the CLI and the demo.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from burnish.errors import DeadlineError, InvalidInputError, PreconditionError, UnavailableError
from burnish.schemas.tuning import Method
from burnish_client.config.endpoints import ClientSettings
from burnish_client.sdk import errors as wire
from burnish_client.sdk import tls, tracing
from burnish_client.sdk.grpc_channel import GrpcAddress, open_channel
from burnish_protos.trainer.v1.trainer_pb2 import (
    AdapterRef,
    Backend,
    CancelTuningJobRequest,
    CheckpointInfo,
    CreateTuningJobRequest,
    DatasetRef,
    DpoParams,
    Finding,
    GetTuningJobRequest,
    KtoParams,
    ListCheckpointsRequest,
    ListCheckpointsResponse,
    ListTuningJobsRequest,
    ListTuningJobsResponse,
    LoraParams,
    OptimizerParams,
    OrpoParams,
    PauseTuningJobRequest,
    PublishCheckpointRequest,
    Quantization,
    ResumeTuningJobRequest,
    RunEstimate,
    RunMeasurement,
    SftParams,
    SimpoParams,
    StepMetrics,
    TuningJob,
    TuningJobEvent,
    TuningJobPreview,
    TuningSpec,
    WatchTuningJobRequest,
)
from burnish_protos.trainer.v1.trainer_pb2_grpc import TrainerStub

__all__ = [
    "AdapterRef",
    "CheckpointInfo",
    "Finding",
    "RunEstimate",
    "RunMeasurement",
    "State",
    "StepMetrics",
    "TrainerClient",
    "TuningJob",
    "TuningJobEvent",
    "TuningJobPreview",
    "TuningSpec",
    "final_series",
    "is_final",
    "state_name",
    "to_dict",
    "tuning_spec",
]

State = Literal["pending", "preparing", "running", "paused", "succeeded", "failed", "cancelled"]
FINAL_STATES = frozenset({TuningJob.STATE_SUCCEEDED, TuningJob.STATE_FAILED, TuningJob.STATE_CANCELLED})
PARAMS: Mapping[Method, Any] = {
    "sft": SftParams,
    "dpo": DpoParams,
    "kto": KtoParams,
    "orpo": OrpoParams,
    "simpo": SimpoParams,
}
ATTEMPTS = 4
PREVIEW_SECONDS = 660.0  # longer than the trainer gives preflight, so that it can say what took so long
PAGE_SIZE = 200
MAXIMUM_MESSAGE_BYTES = 64 * 1024 * 1024  # a page of jobs with all their findings
BACKOFF_SECONDS = 0.25
RECONNECT_SECONDS = 120.0  # how long a broken watch keeps trying without one new event
BROKEN = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED}
)

Answer = TypeVar("Answer")


def state_name(state: TuningJob.State | int) -> str:
    """`running` for STATE_RUNNING."""
    name: str = TuningJob.State.Name(state)
    return name.removeprefix("STATE_").lower()


def is_final(state: TuningJob.State | int) -> bool:
    return state in FINAL_STATES


def to_dict(message: Message) -> dict[str, Any]:
    """A message as JSON-ready values under its proto field names, an error's ErrorInfo included."""
    pool = error_details_pb2.DESCRIPTOR.pool
    values: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool)
    return values


def tuning_spec(
    method: Method,
    *,
    dataset_name: str,
    dataset_version: str,
    adapter_name: str,
    rank: int | None = None,
    alpha: int | None = None,
    dropout: float | None = None,
    target_modules: Sequence[str] = (),
    use_rslora: bool | None = None,
    use_dora: bool | None = None,
    learning_rate: float | None = None,
    max_steps: int | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    gradient_accumulation_steps: int | None = None,
    warmup_share: float | None = None,
    max_length: int | None = None,
    evaluation_interval_steps: int | None = None,
    early_stopping_patience: int | None = None,
    quantization: Literal["none", "nf4"] | None = None,
    backend: Literal["peft", "unsloth"] | None = None,
    device_count: int | None = None,
    seed: int | None = None,
    accepted_findings: Sequence[str] = (),
    beta: float | None = None,
    gamma: float | None = None,
    desirable_weight: float | None = None,
    undesirable_weight: float | None = None,
    initial_adapter: tuple[str, str] | None = None,
) -> TuningSpec:
    """A spec in which None leaves the default to the trainer; ranges and defaults are those of trainer.proto.

    beta is of dpo, kto, orpo and simpo; gamma of simpo; the weights of kto; initial_adapter (name, version) of dpo and
    kto. Raises InvalidInputError for a method that is none and for a parameter that the method does not have.
    """
    params = {
        "beta": beta,
        "gamma": gamma,
        "desirable_weight": desirable_weight,
        "undesirable_weight": undesirable_weight,
        "initial_adapter": AdapterRef(name=initial_adapter[0], version=initial_adapter[1]) if initial_adapter else None,
    }
    return TuningSpec(
        dataset=DatasetRef(name=dataset_name, version=dataset_version),
        adapter_name=adapter_name,
        lora=LoraParams(
            rank=rank,
            alpha=alpha,
            dropout=dropout,
            target_modules=target_modules,
            **_given(use_rslora=use_rslora, use_dora=use_dora),
        ),
        optimizer=OptimizerParams(
            learning_rate=learning_rate,
            max_steps=max_steps,
            epochs=epochs,
            batch_size=batch_size,
            gradient_accumulation_steps=gradient_accumulation_steps,
            warmup_share=warmup_share,
            max_length=max_length,
            evaluation_interval_steps=evaluation_interval_steps,
            early_stopping_patience=early_stopping_patience,
        ),
        quantization=Quantization.Value(f"QUANTIZATION_{(quantization or 'unspecified').upper()}"),
        backend=Backend.Value(f"BACKEND_{(backend or 'unspecified').upper()}"),
        device_count=device_count,
        seed=seed,
        accepted_findings=accepted_findings,
        **{method: _method_params(method, params)},
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _method_params(method: Method, params: Mapping[str, Any]) -> Message:
    """The method's own message; InvalidInputError names those of its parameters that belong to others."""
    if method not in PARAMS:
        raise InvalidInputError(f"method: {method!r} is not one of {', '.join(PARAMS)}", field="method")
    given = _given(**params)
    for name in given:
        owners = [one for one, message in PARAMS.items() if name in message.DESCRIPTOR.fields_by_name]
        if method not in owners:
            raise InvalidInputError(
                f"{name} belongs to {', '.join(owners)}, not to {method}: leave it out, or choose another method",
                field=name,
            )
    made: Message = PARAMS[method](**given)
    return made


def final_series(events: Iterable[TuningJobEvent]) -> list[TuningJobEvent]:
    """The metrics events of a job without what was told again: of each step's training and evaluation the last telling.

    Ascending by step, the training metrics of a step before its evaluation. A step is told again when a later attempt
    runs it again and its figures differ; every telling stays in the job's events.
    """
    last: dict[tuple[int, bool], TuningJobEvent] = {}
    for event in events:
        if event.WhichOneof("event") == "metrics":
            last[event.metrics.step, event.metrics.HasField("validation_loss")] = event
    return [last[key] for key in sorted(last)]


class _Stub(Protocol):
    """The generated stub, which carries no types of its own."""

    CreateTuningJob: Callable[..., TuningJob]
    GetTuningJob: Callable[..., TuningJob]
    ListTuningJobs: Callable[..., ListTuningJobsResponse]
    PreviewTuningJob: Callable[..., TuningJobPreview]
    PauseTuningJob: Callable[..., TuningJob]
    ResumeTuningJob: Callable[..., TuningJob]
    CancelTuningJob: Callable[..., TuningJob]
    ListCheckpoints: Callable[..., ListCheckpointsResponse]
    PublishCheckpoint: Callable[..., AdapterRef]
    WatchTuningJob: Callable[..., Iterable[TuningJobEvent]]


class TrainerClient:
    """Calls of the trainer. Raises the BurnishErrors that it raised; UnavailableError where it does not answer.

    Every call is safe to retry (create carries a request_id) and is retried a few times while the trainer cannot be reached.
    address: `host:port`, `grpc://host:port` or, for TLS, `grpcs://host:port`; ca: PEM file of the authority that it is
    then trusted by, None: the system's.
    """

    def __init__(self, address: str, token: str, *, ca: Path | None = None, timeout_seconds: float = 30.0) -> None:
        self.address = address
        self._url, self._ca = str(GrpcAddress.parse(address)), ca
        self._timeout_seconds = timeout_seconds
        self._metadata = (("authorization", f"Bearer {token}"),)
        options = [("grpc.max_receive_message_length", MAXIMUM_MESSAGE_BYTES)]
        self._channel = open_channel(GrpcAddress.parse(address), ca, options)
        self._stub: _Stub = TrainerStub(self._channel)  # type: ignore[no-untyped-call]

    @classmethod
    def from_settings(cls, settings: ClientSettings | None = None) -> Self:
        settings = settings or ClientSettings()
        return cls(settings.endpoint("trainer"), settings.secret_token(), ca=settings.ca)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def ask(self) -> None:
        """One read that shows whether the trainer answers and takes the token; raises as every call does."""
        self._call(self._stub.ListTuningJobs, ListTuningJobsRequest(page_size=1))

    def create_job(
        self,
        spec: TuningSpec,
        request_id: str | None = None,
        *,
        priority: int = 0,
        labels: Mapping[str, str] | None = None,
        deadline: datetime | None = None,
    ) -> TuningJob:
        """Queue a job. The same request_id and body give the same job; None makes a fresh id, so that retries cannot queue twice.

        priority: -100 to 100, higher first, then older first. labels: at most 16, to filter lists by. deadline: aware and
        in the future; a job that has not ended by then fails with DeadlineError. AlreadyExistsError where the request_id
        made a job from another body.
        """
        request = _create_request(spec, priority, labels, deadline)
        request.request_id = request_id or uuid.uuid4().hex
        return self._call(self._stub.CreateTuningJob, request)

    def preview_job(
        self, spec: TuningSpec, *, deadline: datetime | None = None, timeout_seconds: float = PREVIEW_SECONDS
    ) -> TuningJobPreview:
        """Check and estimate a job as its preparation would, and queue nothing.

        A spec that preflight refuses is an answer (`refused`, with its findings), not an error; a malformed one raises as
        create_job does.
        """
        return self._call(self._stub.PreviewTuningJob, _create_request(spec, 0, None, deadline), timeout_seconds)

    def get_job(self, job_id: str) -> TuningJob:
        return self._call(self._stub.GetTuningJob, GetTuningJobRequest(job_id=job_id))

    def list_jobs(
        self,
        states: Sequence[State] = (),
        limit: int | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        adapter_name: str | None = None,
        dataset_name: str | None = None,
    ) -> list[TuningJob]:
        """Newest first, all pages up to `limit`; only those in one of the states, with all of the labels, of the names."""
        request = ListTuningJobsRequest(
            states=[TuningJob.State.Value(f"STATE_{state.upper()}") for state in states],
            page_size=min(limit or PAGE_SIZE, PAGE_SIZE),
            labels=labels,
            adapter_name=adapter_name,
            dataset_name=dataset_name,
        )
        jobs: list[TuningJob] = []
        while True:
            page = self._call(self._stub.ListTuningJobs, request)
            jobs.extend(page.jobs)
            if not page.next_page_token or (limit and len(jobs) >= limit):
                return jobs[:limit]
            request.page_token = page.next_page_token

    def cancel_job(self, job_id: str) -> TuningJob:
        """Ends a job that has not ended; PreconditionError for one that has."""
        return self._call(self._stub.CancelTuningJob, CancelTuningJobRequest(job_id=job_id))

    def events(self, job_id: str, after_sequence: int = 0) -> list[TuningJobEvent]:
        """Every event after `after_sequence` until now, in order; does not wait for more."""
        request = WatchTuningJobRequest(job_id=job_id, after_sequence=after_sequence, until_now=True)
        return self._call(lambda *args, **kwargs: list(self._stub.WatchTuningJob(*args, **kwargs)), request)

    def pause_job(self, job_id: str) -> TuningJob:
        """Ask a job to save a checkpoint and free its device. The answer may still say running: `wait_paused` or watch it.

        Pausing a paused job changes nothing; PreconditionError for one that has ended.
        """
        return self._call(self._stub.PauseTuningJob, PauseTuningJobRequest(job_id=job_id))

    def resume_job(self, job_id: str) -> TuningJob:
        """Put a paused job back into the queue, to go on from its last checkpoint; PreconditionError for any other."""
        return self._call(self._stub.ResumeTuningJob, ResumeTuningJobRequest(job_id=job_id))

    def list_checkpoints(self, job_id: str) -> list[CheckpointInfo]:
        """Those that are still kept, ascending by step."""
        request = ListCheckpointsRequest(job_id=job_id)
        return list(self._call(self._stub.ListCheckpoints, request).checkpoints)

    def publish_checkpoint(self, job_id: str, step: int) -> AdapterRef:
        """Make a checkpoint an adapter version, to be asked, evaluated and promoted as any other. Idempotent.

        NotFoundError where the job has no checkpoint of that step.
        """
        return self._call(self._stub.PublishCheckpoint, PublishCheckpointRequest(job_id=job_id, step=step))

    def watch(self, job_id: str, after_sequence: int = 0) -> Iterator[TuningJobEvent]:
        """Every event after `after_sequence`, each once and in order, until the job has ended.

        A broken stream is opened again after the last event seen; after RECONNECT_SECONDS without any it raises UnavailableError.
        """
        seen, last_heard, pause = after_sequence, time.monotonic(), BACKOFF_SECONDS
        while True:
            before = seen
            try:
                for event in self._stub.WatchTuningJob(
                    WatchTuningJobRequest(job_id=job_id, after_sequence=seen),
                    metadata=self._metadata + tracing.metadata(),
                ):
                    if event.sequence <= seen:
                        continue
                    seen, last_heard, pause = event.sequence, time.monotonic(), BACKOFF_SECONDS
                    yield event
                    if event.WhichOneof("event") == "state_change" and is_final(event.state_change):
                        return
                if seen == before and self._has_ended(job_id):
                    return
            except grpc.RpcError as error:
                if error.code() not in BROKEN or _has_details(error):
                    raise wire.from_rpc(error, self._where) from error
                self._check_tls(error)
            if time.monotonic() - last_heard > RECONNECT_SECONDS:
                raise self._lost(job_id)
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _lost(self, job_id: str) -> UnavailableError:
        message = f"{self._where}: the stream of {job_id} broke and did not come back in {RECONNECT_SECONDS:.0f} s: `burnish jobs watch {job_id}` tries again"
        return UnavailableError(message, job_id=job_id)

    def wait(self, job_id: str, timeout_seconds: float) -> TuningJob:
        """Block until the job has ended; DeadlineError after timeout_seconds (the job goes on)."""
        deadline = time.monotonic() + timeout_seconds
        while not is_final((job := self.get_job(job_id)).state):
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"{job_id} is still {state_name(job.state)} after {timeout_seconds:.0f} s: `burnish jobs watch {job_id}`",
                    job_id=job_id,
                )
            time.sleep(0.5)
        return job

    def wait_paused(self, job_id: str, timeout_seconds: float) -> TuningJob:
        """Block until a job that was asked to pause is paused; DeadlineError after timeout_seconds (the job still pauses).

        PreconditionError where it ended before it could.
        """
        deadline = time.monotonic() + timeout_seconds
        while (job := self.get_job(job_id)).state != TuningJob.STATE_PAUSED:
            if is_final(job.state):
                raise PreconditionError(
                    f"{job_id} {state_name(job.state)} before it was paused", job_id=job_id, state=state_name(job.state)
                )
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"{job_id} is not paused yet after {timeout_seconds:.0f} s, it still saves: `burnish jobs show {job_id}`",
                    job_id=job_id,
                )
            time.sleep(0.2)
        return job

    def _has_ended(self, job_id: str) -> bool:
        """False also while the trainer cannot be reached."""
        try:
            return is_final(self.get_job(job_id).state)
        except UnavailableError:
            return False

    @property
    def _where(self) -> str:
        return f"trainer at {self.address}"

    def _call(self, method: Callable[..., Answer], request: Message, timeout_seconds: float | None = None) -> Answer:
        for attempt in range(ATTEMPTS):
            try:
                metadata = self._metadata + tracing.metadata()
                return method(request, metadata=metadata, timeout=timeout_seconds or self._timeout_seconds)
            except grpc.RpcError as error:
                unavailable = error.code() is grpc.StatusCode.UNAVAILABLE
                given_up = timeout_seconds is not None and _has_details(
                    error
                )  # a long call: the trainer waited already
                if unavailable and not _has_details(error):
                    self._check_tls(error)
                if not unavailable or given_up or attempt == ATTEMPTS - 1:
                    raise wire.from_rpc(error, self._where) from error
                time.sleep(BACKOFF_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    def _check_tls(self, error: grpc.RpcError) -> None:
        """Raise, rather than try again, where TLS is what keeps us from the trainer."""
        fault = tls.misfit(self._url, self._ca)
        if fault is not None:
            raise fault from error


def _create_request(
    spec: TuningSpec, priority: int, labels: Mapping[str, str] | None, deadline: datetime | None
) -> CreateTuningJobRequest:
    if deadline is not None and deadline.tzinfo is None:
        raise InvalidInputError(
            f"deadline {deadline.isoformat()} has no time zone: give an aware datetime", field="deadline"
        )
    request = CreateTuningJobRequest(spec=spec, priority=priority, labels=labels)
    if deadline is not None:
        request.deadline.FromDatetime(deadline)
    return request


def _has_details(error: grpc.RpcError) -> bool:
    """True where the trainer itself said why, so that it is no broken line."""
    return any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())
