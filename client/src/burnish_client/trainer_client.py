"""SDK of the trainer (gRPC): create, get, list, cancel and watch tuning jobs. Synchronous.

The only file of the client that imports the stubs; it gives their message classes on to the CLI and the demo.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol, Self, TypeVar

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from burnish.errors import DeadlineError, InvalidInputError, UnavailableError
from burnish_client import wire
from burnish_client.config import ClientSettings
from burnish_protos.trainer.v1.trainer_pb2 import (
    AdapterRef,
    Backend,
    CancelTuningJobRequest,
    CreateTuningJobRequest,
    DatasetRef,
    DpoParams,
    GetTuningJobRequest,
    ListTuningJobsRequest,
    ListTuningJobsResponse,
    LoraParams,
    OptimizerParams,
    Quantization,
    SftParams,
    StepMetrics,
    TuningJob,
    TuningJobEvent,
    TuningSpec,
    WatchTuningJobRequest,
)
from burnish_protos.trainer.v1.trainer_pb2_grpc import TrainerStub

__all__ = [
    "StepMetrics",
    "TrainerClient",
    "TuningJob",
    "TuningJobEvent",
    "TuningSpec",
    "is_final",
    "state_name",
    "to_dict",
    "tuning_spec",
]

State = Literal["pending", "running", "succeeded", "failed", "cancelled"]
FINAL_STATES = frozenset({TuningJob.STATE_SUCCEEDED, TuningJob.STATE_FAILED, TuningJob.STATE_CANCELLED})
ATTEMPTS = 4
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
    """A message as JSON-ready values under its proto field names."""
    values: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return values


def tuning_spec(
    method: Literal["sft", "dpo"],
    *,
    dataset_name: str,
    dataset_version: str,
    adapter_name: str,
    rank: int | None = None,
    alpha: int | None = None,
    dropout: float | None = None,
    target_modules: Sequence[str] = (),
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
    seed: int | None = None,
    beta: float | None = None,
    initial_adapter: tuple[str, str] | None = None,
) -> TuningSpec:
    """A spec in which None leaves the method's default to the trainer. beta and initial_adapter (name, version) are DPO's alone."""
    if method == "sft" and (beta is not None or initial_adapter is not None):
        raise InvalidInputError("beta and initial_adapter belong to method dpo: leave them out, or choose dpo")
    initial = AdapterRef(name=initial_adapter[0], version=initial_adapter[1]) if initial_adapter else None
    return TuningSpec(
        dataset=DatasetRef(name=dataset_name, version=dataset_version),
        adapter_name=adapter_name,
        lora=LoraParams(rank=rank, alpha=alpha, dropout=dropout, target_modules=target_modules),
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
        sft=SftParams() if method == "sft" else None,
        dpo=DpoParams(beta=beta, initial_adapter=initial) if method == "dpo" else None,
        quantization=Quantization.Value(f"QUANTIZATION_{(quantization or 'unspecified').upper()}"),
        backend=Backend.Value(f"BACKEND_{(backend or 'unspecified').upper()}"),
        seed=seed,
    )


class _Stub(Protocol):
    """The generated stub, which carries no types of its own."""

    CreateTuningJob: Callable[..., TuningJob]
    GetTuningJob: Callable[..., TuningJob]
    ListTuningJobs: Callable[..., ListTuningJobsResponse]
    CancelTuningJob: Callable[..., TuningJob]
    WatchTuningJob: Callable[..., Iterable[TuningJobEvent]]


class TrainerClient:
    """Calls of the trainer. Raises the BurnishErrors that it raised; UnavailableError where it does not answer.

    Every call is safe to retry (create carries a request_id) and is retried a few times while the trainer cannot be reached.
    """

    def __init__(self, address: str, token: str, *, timeout_seconds: float = 30.0) -> None:
        self.address = address
        self._timeout_seconds = timeout_seconds
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._stub: _Stub = TrainerStub(self._channel)  # type: ignore[no-untyped-call]

    @classmethod
    def from_settings(cls, settings: ClientSettings | None = None) -> Self:
        settings = settings or ClientSettings()
        return cls(settings.endpoint("trainer"), settings.secret_token())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def create_job(self, spec: TuningSpec, request_id: str | None = None) -> TuningJob:
        """Queue a job. The same request_id and spec give the same job; None makes a fresh id, so that retries cannot queue twice."""
        request = CreateTuningJobRequest(spec=spec, request_id=request_id or uuid.uuid4().hex)
        return self._call(self._stub.CreateTuningJob, request)

    def get_job(self, job_id: str) -> TuningJob:
        return self._call(self._stub.GetTuningJob, GetTuningJobRequest(job_id=job_id))

    def list_jobs(self, states: Sequence[State] = (), limit: int | None = None) -> list[TuningJob]:
        """Newest first, all pages up to `limit`."""
        request = ListTuningJobsRequest(
            states=[TuningJob.State.Value(f"STATE_{state.upper()}") for state in states],
            page_size=min(limit or 1000, 1000),
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

    def watch(self, job_id: str, after_sequence: int = 0) -> Iterator[TuningJobEvent]:
        """Every event after `after_sequence`, each once and in order, until the job has ended.

        A broken stream is opened again after the last event seen; after RECONNECT_SECONDS without any it raises UnavailableError.
        """
        seen, last_heard, pause = after_sequence, time.monotonic(), BACKOFF_SECONDS
        while True:
            before = seen
            try:
                for event in self._stub.WatchTuningJob(
                    WatchTuningJobRequest(job_id=job_id, after_sequence=seen), metadata=self._metadata
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

    def _has_ended(self, job_id: str) -> bool:
        """False also while the trainer cannot be reached."""
        try:
            return is_final(self.get_job(job_id).state)
        except UnavailableError:
            return False

    @property
    def _where(self) -> str:
        return f"trainer at {self.address}"

    def _call(self, method: Callable[..., Answer], request: Message) -> Answer:
        for attempt in range(ATTEMPTS):
            try:
                return method(request, metadata=self._metadata, timeout=self._timeout_seconds)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or attempt == ATTEMPTS - 1:
                    raise wire.from_rpc(error, self._where) from error
                time.sleep(BACKOFF_SECONDS * 2**attempt)
        raise AssertionError("unreachable")


def _has_details(error: grpc.RpcError) -> bool:
    """True where the trainer itself said why, so that it is no broken line."""
    return any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())
