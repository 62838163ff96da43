"""Jobs outlive whatever is killed: trainer, worker, watcher. Real processes, real S3, a small base model."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from integration.trainer.conftest import METADATA, TrainerCalls, TrainerProcess
from unit.trainer.made import put_dataset, sft_rows

from burnish.objectstores.s3 import S3ObjectStore
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_trainer.spec import VersionRef

pytestmark = pytest.mark.model

STEPS = 30
OPTIMIZER = {"max_steps": STEPS, "learning_rate": 5e-3, "batch_size": 4, "evaluation_interval_steps": 5}
LONG = OPTIMIZER | {"max_steps": 100_000, "evaluation_interval_steps": 1000}


@pytest.fixture(scope="module")
def dataset(trainer_store: S3ObjectStore) -> VersionRef:
    return put_dataset(trainer_store, sft_rows(18), sft_rows(4, "v"))


@pytest.fixture(scope="module")
def unbroken(trainer: TrainerProcess, dataset: VersionRef) -> tuple[str, dict[int, float]]:
    """Adapter version and training losses of a run that nobody disturbed."""
    calls = trainer.call()
    job = calls.create(dataset, optimizer=pb.OptimizerParams(**OPTIMIZER))
    events = list(calls.watch(job.job_id))
    version = calls.get(job.job_id).adapter.version
    calls.channel.close()
    return version, losses(events)


def losses(events: list[pb.TuningJobEvent]) -> dict[int, float]:
    return {e.metrics.step: e.metrics.train_loss for e in events if e.metrics.HasField("train_loss")}


def messages(events: list[pb.TuningJobEvent]) -> list[str]:
    return [event.message for event in events if event.message]


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


def reaches_step(calls: TrainerCalls, job_id: str, step: int) -> None:
    until(lambda: calls.get(job_id).progress.step >= step)


def assert_as_unbroken(
    calls: TrainerCalls, job_id: str, unbroken: tuple[str, dict[int, float]]
) -> list[pb.TuningJobEvent]:
    """The job ends with the very same adapter and series, and its events have no gap and no double."""
    list(calls.watch(job_id))
    ended = calls.get(job_id)
    assert ended.state == pb.TuningJob.STATE_SUCCEEDED, ended.error
    events = list(calls.watch(job_id))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    steps = [e.metrics.step for e in events if e.metrics.HasField("train_loss")]
    assert sorted(steps) == list(range(1, STEPS + 1))
    assert (ended.adapter.version, losses(events)) == unbroken
    return events


def test_a_killed_trainer_takes_its_job_up_again(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef, unbroken: Any
) -> None:
    job = calls.create(dataset, optimizer=pb.OptimizerParams(**OPTIMIZER))
    queued = calls.create(dataset, adapter_name="later", optimizer=pb.OptimizerParams(**OPTIMIZER | {"max_steps": 1}))
    seen = []
    for event in calls.watch(job.job_id):  # a watcher that is cut off in the middle
        seen.append(event)
        if event.metrics.step >= 12:
            break
    workers = trainer.worker_pids()
    assert len(workers) == 1
    trainer.kill()
    until(lambda: trainer.worker_pids() == [], seconds=10)
    trainer.start()
    assert calls.get(queued.job_id).state == pb.TuningJob.STATE_PENDING
    seen += list(calls.watch(job.job_id, after=seen[-1].sequence))
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    events = assert_as_unbroken(calls, job.job_id, unbroken)
    assert "resumed from step 10" in messages(events)
    assert calls.get(job.job_id).attempts == 2
    list(calls.watch(queued.job_id))
    assert calls.get(queued.job_id).state == pb.TuningJob.STATE_SUCCEEDED


def test_a_killed_worker_is_replaced(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef, unbroken: Any
) -> None:
    job = calls.create(dataset, optimizer=pb.OptimizerParams(**OPTIMIZER))
    reaches_step(calls, job.job_id, 12)
    os.kill(trainer.worker_pids()[0], signal.SIGKILL)
    events = assert_as_unbroken(calls, job.job_id, unbroken)
    assert any(message.startswith("attempt 1 ended, SIGKILL") for message in messages(events))


def test_a_stopped_trainer_lets_its_worker_save(
    trainer: TrainerProcess, calls: TrainerCalls, trainer_store: S3ObjectStore, dataset: VersionRef, unbroken: Any
) -> None:
    job = calls.create(dataset, optimizer=pb.OptimizerParams(**OPTIMIZER))
    reaches_step(calls, job.job_id, 7)
    trainer.stop()
    assert trainer.worker_pids() == []
    trainer.start()
    events = assert_as_unbroken(calls, job.job_id, unbroken)
    stopped = next(int(m.rsplit(" ", 1)[1]) for m in messages(events) if m.startswith("stopped after step"))
    assert f"resumed from step {stopped}" in messages(events)
    until(lambda: not list(trainer_store.list(f"checkpoints/{job.job_id}/")))


@pytest.mark.parametrize("hung", [False, True], ids=["training", "hung"])
def test_cancel_ends_a_job_within_ten_seconds(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef, hung: bool
) -> None:
    job = calls.create(dataset, optimizer=pb.OptimizerParams(**LONG))
    reaches_step(calls, job.job_id, 1)
    if hung:
        os.kill(trainer.worker_pids()[0], signal.SIGSTOP)
    began = time.monotonic()
    calls.cancel(job.job_id)
    events = list(calls.watch(job.job_id))
    assert time.monotonic() - began < 10
    assert events[-1].state_change == pb.TuningJob.STATE_CANCELLED
    until(lambda: trainer.worker_pids() == [], seconds=2)


def test_health_and_reflection_answer_their_own_clients(trainer: TrainerProcess) -> None:
    with grpc.insecure_channel(trainer.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError):
            ProtoReflectionDescriptorDatabase(channel).get_services()
        signed = grpc.intercept_channel(channel, _Signed())
        database = ProtoReflectionDescriptorDatabase(signed)
        assert "burnish.trainer.v1.Trainer" in database.get_services()
        file = database.FindFileContainingSymbol("burnish.trainer.v1.Trainer")
        assert file.service[0].method[0].name == "CreateTuningJob"


class _Signed(grpc.StreamStreamClientInterceptor):
    """Puts the token on a stream, as `grpcurl -H` does."""

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(details._replace(metadata=METADATA), requests)
