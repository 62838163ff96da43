"""Jobs outlive whatever is killed: trainer, worker, watcher. Real processes, real S3, a small base model."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from integration.trainer.trainer_process import METADATA, TrainerCalls, TrainerProcess, messages, series, until

from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_trainer.artifacts import adapters

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

STEPS = 30
OPTIMIZER = {"max_steps": STEPS, "learning_rate": 5e-3, "batch_size": 4, "evaluation_interval_steps": 5}
OPTIMIZER |= {"early_stopping_patience": 0}
LONG = OPTIMIZER | {"max_steps": 100_000, "evaluation_interval_steps": 1000}
DROPOUT = pb.LoraParams(rank=8, dropout=0.1)  # so that the state of the random generators matters


def create(calls: TrainerCalls, dataset: VersionRef, optimizer: dict[str, Any] = OPTIMIZER, **fields: Any) -> str:
    return calls.create(dataset, optimizer=pb.OptimizerParams(**optimizer), lora=DROPOUT, **fields).job_id


@pytest.fixture(scope="module")
def unbroken(trainer: TrainerProcess, dataset: VersionRef) -> tuple[str, dict[int, float], dict[int, float]]:
    """Adapter version, training and validation losses of a run that nobody disturbed."""
    calls = trainer.call()
    job_id = create(calls, dataset)
    events = list(calls.watch(job_id))
    version = calls.get(job_id).adapter.version
    calls.channel.close()
    return version, series(events), series(events, "validation_loss")


def assert_as_unbroken(calls: TrainerCalls, job_id: str, unbroken: Any) -> list[pb.TuningJobEvent]:
    """The job ends with the very same adapter and series, and its events have no gap and no double."""
    list(calls.watch(job_id))
    ended = calls.get(job_id)
    assert ended.state == pb.TuningJob.STATE_SUCCEEDED, ended.error
    events = list(calls.watch(job_id))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert sorted(series(events)) == list(range(1, STEPS + 1))
    assert (ended.adapter.version, series(events), series(events, "validation_loss")) == unbroken
    return events


def test_a_killed_trainer_takes_its_job_up_again(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef, unbroken: Any
) -> None:
    job_id = create(calls, dataset)
    queued = create(calls, dataset, OPTIMIZER | {"max_steps": 1}, adapter_name="later")
    seen = []
    for event in calls.watch(job_id):  # a watcher that is cut off in the middle
        seen.append(event)
        if event.metrics.step >= 12:
            break
    assert len(trainer.worker_pids()) == 1
    trainer.kill()
    until(lambda: trainer.worker_pids() + trainer.spare_pids() + trainer.checker_pids() == [], seconds=30)
    trainer.start()
    assert calls.get(queued).state in (pb.TuningJob.STATE_PENDING, pb.TuningJob.STATE_PREPARING)
    seen += list(calls.watch(job_id, after=seen[-1].sequence))
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    events = assert_as_unbroken(calls, job_id, unbroken)
    assert "resumed from step 10" in messages(events)
    assert calls.get(job_id).attempts == 2
    list(calls.watch(queued))
    assert calls.get(queued).state == pb.TuningJob.STATE_SUCCEEDED


def test_a_killed_worker_is_replaced(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef, unbroken: Any
) -> None:
    job_id = create(calls, dataset)
    calls.reaches_step(job_id, 12)
    os.kill(trainer.worker_pids()[0], signal.SIGKILL)
    events = assert_as_unbroken(calls, job_id, unbroken)
    assert any(message.startswith("attempt 1 ended, SIGKILL") for message in messages(events))


def test_a_stopped_trainer_lets_its_worker_save(
    trainer: TrainerProcess, calls: TrainerCalls, trainer_store: S3ObjectStore, dataset: VersionRef, unbroken: Any
) -> None:
    job_id = create(calls, dataset)
    calls.reaches_step(job_id, 7)
    trainer.stop()
    assert trainer.worker_pids() == []
    trainer.start()
    events = assert_as_unbroken(calls, job_id, unbroken)
    stopped = next(int(m.rsplit(" ", 1)[1]) for m in messages(events) if m.startswith("stopped after step"))
    assert f"resumed from step {stopped}" in messages(events)
    until(lambda: not [info for info in trainer_store.list(f"checkpoints/{job_id}/") if "optimizer" in info.key])


@pytest.mark.parametrize("hung", [False, True], ids=["training", "hung"])
def test_cancel_ends_a_job_within_ten_seconds(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef, hung: bool
) -> None:
    job_id = create(calls, dataset, LONG)
    calls.reaches_step(job_id, 1)
    if hung:
        os.kill(trainer.worker_pids()[0], signal.SIGSTOP)
    began = time.monotonic()
    calls.cancel(job_id)
    events = list(calls.watch(job_id))
    assert time.monotonic() - began < 10
    assert events[-1].state_change == pb.TuningJob.STATE_CANCELLED
    until(lambda: trainer.worker_pids() == [], seconds=2)


def test_cancel_ends_a_job_whose_preparation_hangs(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef
) -> None:
    checker = until(trainer.checker_pids)[0]
    os.kill(checker, signal.SIGSTOP)
    try:
        job_id = create(calls, dataset)
        calls.reaches_state(job_id, pb.TuningJob.STATE_PREPARING)
        began = time.monotonic()
        calls.cancel(job_id)
        calls.reaches_state(job_id, pb.TuningJob.STATE_CANCELLED, 10)
        assert time.monotonic() - began < 10
    finally:
        os.kill(checker, signal.SIGCONT)


def test_a_paused_job_gives_its_device_to_others_and_goes_on_as_if_never_stopped(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef, unbroken: Any
) -> None:
    job_id = create(calls, dataset)
    calls.reaches_step(job_id, 7)
    calls.pause(job_id)
    calls.pause(job_id)
    paused = calls.reaches_state(job_id, pb.TuningJob.STATE_PAUSED)
    assert not paused.devices
    assert trainer.worker_pids() == []
    low = create(calls, dataset, OPTIMIZER | {"max_steps": 2}, adapter_name="low", priority=-5)
    high = create(calls, dataset, OPTIMIZER | {"max_steps": 1}, adapter_name="high", priority=5)
    for other in (low, high):
        list(calls.watch(other))
        assert calls.get(other).state == pb.TuningJob.STATE_SUCCEEDED
    calls.resume(job_id)
    events = assert_as_unbroken(calls, job_id, unbroken)
    saved = next(int(m.rsplit(" ", 1)[1]) for m in messages(events) if m.startswith("stopped after step"))
    assert f"resumed from step {saved}" in messages(events)


def test_the_more_urgent_job_goes_first(trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef) -> None:
    short = OPTIMIZER | {"max_steps": 1}
    running = create(calls, dataset, LONG, adapter_name="running")
    calls.reaches_step(running, 1)
    low, high = (create(calls, dataset, short, adapter_name="other", priority=priority) for priority in (-5, 5))
    until(
        lambda: all(calls.get(job_id).HasField("estimate") for job_id in (low, high))
    )  # prepared while the device is busy
    calls.cancel(running)
    for job_id in (low, high):
        list(calls.watch(job_id))
    assert calls.get(high).start_time.ToDatetime() < calls.get(low).start_time.ToDatetime()


def test_checkpoints_of_a_running_job_are_models(
    trainer: TrainerProcess, calls: TrainerCalls, trainer_store: S3ObjectStore, dataset: VersionRef
) -> None:
    job_id = create(calls, dataset, OPTIMIZER | {"max_steps": 100_000})
    calls.reaches_step(job_id, 16)
    listed = calls.checkpoints(job_id)
    assert [info.step for info in listed][:3] == [5, 10, 15]
    assert sum(info.best for info in listed) == 1
    ref = calls.publish(job_id, 10)
    assert calls.publish(job_id, 10) == ref
    manifest = adapters.read_manifest(trainer_store, VersionRef(name=ref.name, version=ref.version))
    assert (manifest.checkpoint_step, manifest.job_id, manifest.training.steps) == (10, job_id, 10)
    assert next(info.adapter for info in calls.checkpoints(job_id) if info.step == 10) == ref
    calls.cancel(job_id)
    list(calls.watch(job_id))


@pytest.fixture
def two_trainers(
    request: pytest.FixtureRequest, store_environment: dict[str, str], tiny_base: Any, tmp_path: Any
) -> Iterator[tuple[TrainerProcess, TrainerProcess]]:
    """On one Postgres database, each with a folder of its own."""
    server: str = request.getfixturevalue("postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE shared")
    url = server.replace("/postgres?", "/shared?").replace("postgresql://", "postgresql+psycopg://")
    queue = {
        "BURNISH_TRAINER_DATABASE_URL": url,
        "BURNISH_TRAINER_LEASE_SECONDS": "2",
        "BURNISH_TRAINER_WARM_WORKERS": "0",
    }
    pair = [TrainerProcess(tmp_path / name, tiny_base, store_environment | queue) for name in ("first", "second")]
    for trainer in pair:
        trainer.folder.mkdir()
        trainer.start()
    yield pair[0], pair[1]
    for trainer in pair:
        trainer.stop()


def test_the_job_of_a_trainer_that_is_gone_is_taken_up_by_another(
    two_trainers: tuple[TrainerProcess, TrainerProcess], dataset: VersionRef, unbroken: Any
) -> None:
    """On another machine, as far as the files go: its checkpoint comes out of the object store."""
    watcher = two_trainers[0].call()
    job_id = create(watcher, dataset)
    watcher.reaches_step(job_id, 12)
    runs = next(trainer for trainer in two_trainers if trainer.worker_pids())
    other = next(trainer for trainer in two_trainers if trainer is not runs)
    watcher.channel.close()
    runs.kill()
    calls = other.call()
    events = assert_as_unbroken(calls, job_id, unbroken)
    calls.channel.close()
    assert any(message.startswith("resumed from step") for message in messages(events))


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
