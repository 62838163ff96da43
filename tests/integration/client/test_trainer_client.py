"""The trainer's SDK against a gRPC server on a socket: errors rebuilt, broken streams resumed, retries that queue nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from burnish.errors import BurnishError, NotFoundError, PreconditionError, UnauthenticatedError, UnavailableError
from burnish_client.sdk.job_spec import tuning_spec
from burnish_client.sdk.trainer import TrainerClient, job_state
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1.trainer_pb2_grpc import TrainerServicer, add_TrainerServicer_to_server

TOKEN = "the-token"
EVENTS = [
    pb.TuningJobEvent(sequence=1, state_change=pb.TuningJob.STATE_RUNNING),
    *[
        pb.TuningJobEvent(sequence=n, metrics=pb.StepMetrics(step=n, total_steps=8, train_loss=1 / n))
        for n in range(2, 9)
    ],
    pb.TuningJobEvent(sequence=9, state_change=pb.TuningJob.STATE_SUCCEEDED),
]


def abort(context: grpc.ServicerContext, error: BurnishError) -> None:
    """As the trainer's interceptor answers: one ErrorInfo in the rich status."""
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain="burnish", metadata=error.metadata))
    status = status_pb2.Status(code=error.code.grpc_number, message=error.message, details=[detail])
    context.abort_with_status(rpc_status.to_status(status))


class Trainer(TrainerServicer):
    """A job whose events can be cut off; records what it was asked."""

    def __init__(self) -> None:
        self.cuts: list[Callable[[grpc.ServicerContext, int], None]] = []
        self.asked_after: list[int] = []
        self.created: dict[str, pb.TuningJob] = {}
        self.failing_creates = 0
        self.final_event = True

    def CreateTuningJob(self, request: pb.CreateTuningJobRequest, context: grpc.ServicerContext) -> pb.TuningJob:
        job = self.created.setdefault(
            request.request_id, pb.TuningJob(job_id=f"job-{len(self.created)}", spec=request.spec)
        )
        if self.failing_creates:
            self.failing_creates -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
        return job

    def GetTuningJob(self, request: pb.GetTuningJobRequest, context: grpc.ServicerContext) -> pb.TuningJob:
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {TOKEN}":
            abort(context, UnauthenticatedError("the token is wrong"))
        if request.job_id != "job-0":
            abort(context, NotFoundError(f"no job {request.job_id}", job_id=request.job_id))
        return pb.TuningJob(job_id="job-0", state=pb.TuningJob.STATE_SUCCEEDED)

    def ListTuningJobs(
        self, request: pb.ListTuningJobsRequest, context: grpc.ServicerContext
    ) -> pb.ListTuningJobsResponse:
        start = int(request.page_token or 0)
        size = min(request.page_size, 3)
        jobs = [pb.TuningJob(job_id=f"job-{n}") for n in range(start, min(start + size, 7))]
        return pb.ListTuningJobsResponse(jobs=jobs, next_page_token=str(start + size) if start + size < 7 else "")

    def CancelTuningJob(self, request: pb.CancelTuningJobRequest, context: grpc.ServicerContext) -> pb.TuningJob:
        abort(context, PreconditionError(f"{request.job_id} has ended", state="succeeded"))
        raise AssertionError("unreachable")

    def WatchTuningJob(
        self, request: pb.WatchTuningJobRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.TuningJobEvent]:
        self.asked_after.append(request.after_sequence)
        if request.job_id != "job-0":
            abort(context, NotFoundError(f"no job {request.job_id}", job_id=request.job_id))
        cut = self.cuts.pop(0) if self.cuts else None
        for event in EVENTS[request.after_sequence :]:
            if cut:
                cut(context, event.sequence)
            if event.sequence < 9 or self.final_event:
                yield event


@pytest.fixture
def trainer() -> Trainer:
    return Trainer()


@pytest.fixture
def server(trainer: Trainer) -> Iterator[str]:
    made = grpc.server(ThreadPoolExecutor(4))
    add_TrainerServicer_to_server(trainer, made)
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    yield f"127.0.0.1:{port}"
    made.stop(None).wait()


@pytest.fixture
def client(server: str) -> Iterator[TrainerClient]:
    with TrainerClient(server, TOKEN) as made:
        yield made


def cut_at(sequence: int, code: grpc.StatusCode) -> Callable[[grpc.ServicerContext, int], None]:
    def cut(context: grpc.ServicerContext, reached: int) -> None:
        if reached == sequence:
            context.abort(code, "the line broke")

    return cut


def test_watch_gives_every_event_once_over_broken_streams(client: TrainerClient, trainer: Trainer) -> None:
    trainer.cuts = [
        cut_at(3, grpc.StatusCode.UNAVAILABLE),
        cut_at(4, grpc.StatusCode.INTERNAL),
        cut_at(9, grpc.StatusCode.CANCELLED),
    ]
    assert [event.sequence for event in client.watch("job-0")] == list(range(1, 10))
    assert trainer.asked_after == [0, 2, 3, 8]


def test_watch_goes_on_after_a_sequence(client: TrainerClient) -> None:
    assert [event.sequence for event in client.watch("job-0", after_sequence=7)] == [8, 9]


def test_watch_of_an_ended_job_with_nothing_new_ends(client: TrainerClient, trainer: Trainer) -> None:
    trainer.final_event = False
    assert [event.sequence for event in client.watch("job-0", after_sequence=8)] == []


def test_watch_survives_a_restart_of_the_server(trainer: Trainer) -> None:
    """The server is stopped in mid-stream and another one listens on its port a moment later."""
    reached = threading.Event()
    go_on = threading.Event()

    def hold(context: grpc.ServicerContext, sequence: int) -> None:
        if sequence == 4:
            reached.set()
            go_on.wait(10)

    trainer.cuts = [hold]
    first = grpc.server(ThreadPoolExecutor(4))
    add_TrainerServicer_to_server(trainer, first)
    port = first.add_insecure_port("127.0.0.1:0")
    first.start()
    seen: list[int] = []
    with TrainerClient(f"127.0.0.1:{port}", TOKEN) as client:
        watcher = threading.Thread(target=lambda: seen.extend(event.sequence for event in client.watch("job-0")))
        watcher.start()
        assert reached.wait(10)
        stopped = first.stop(None)
        go_on.set()
        stopped.wait()
        second = grpc.server(ThreadPoolExecutor(4))
        add_TrainerServicer_to_server(trainer, second)
        second.add_insecure_port(f"127.0.0.1:{port}")
        second.start()
        watcher.join(30)
        second.stop(None).wait()
    assert seen == list(range(1, 10))


def test_watch_of_a_job_that_is_not_there_raises_at_once(client: TrainerClient, trainer: Trainer) -> None:
    with pytest.raises(NotFoundError, match="no job job-9"):
        list(client.watch("job-9"))
    assert trainer.asked_after == [0]


def test_errors_come_back_as_the_class_with_its_facts(client: TrainerClient) -> None:
    with pytest.raises(NotFoundError) as raised:
        client.get_job("job-9")
    assert raised.value.message == "no job job-9"
    assert raised.value.metadata == {"job_id": "job-9"}
    with pytest.raises(PreconditionError, match="has ended"):
        client.cancel_job("job-0")


def test_a_wrong_token_is_refused_as_such(server: str) -> None:
    with TrainerClient(server, "another") as client, pytest.raises(UnauthenticatedError, match="the token is wrong"):
        client.get_job("job-0")


def test_a_create_whose_answer_was_lost_queues_one_job(client: TrainerClient, trainer: Trainer) -> None:
    trainer.failing_creates = 2
    spec = tuning_spec("sft", dataset_name="d", dataset_version="v", adapter_name="a", rank=8, max_steps=3)
    job = client.create_job(spec)
    assert list(trainer.created.values()) == [job]
    assert len(next(iter(trainer.created))) == 32


def test_a_spec_leaves_out_what_was_not_given(client: TrainerClient, trainer: Trainer) -> None:
    spec = client.create_job(
        tuning_spec(
            "dpo", dataset_name="d", dataset_version="v", adapter_name="a", beta=0.2, initial_adapter=("s", "1")
        )
    ).spec
    assert spec.WhichOneof("method") == "dpo"
    assert (spec.dpo.beta, spec.dpo.initial_adapter.name, spec.dpo.initial_adapter.version) == (0.2, "s", "1")
    assert not spec.lora.HasField("rank")
    assert not spec.optimizer.HasField("learning_rate")
    assert not spec.HasField("seed")


def test_lists_take_all_pages_or_as_many_as_wanted(client: TrainerClient) -> None:
    assert [job.job_id for job in client.list_jobs()] == [f"job-{n}" for n in range(7)]
    assert len(client.list_jobs(limit=4)) == 4
    assert job_state(client.get_job("job-0").state) == "succeeded"


def test_nobody_listening_says_what_to_do() -> None:
    with TrainerClient("127.0.0.1:9", TOKEN) as client, pytest.raises(UnavailableError, match="`burnish up` starts it"):
        client.get_job("job-0")
