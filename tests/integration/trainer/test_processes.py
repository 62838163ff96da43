"""Several processes train one job together through `accelerate launch`: here two on the CPU, as two GPUs would."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from integration.trainer.attempts import Attempts, trained
from integration.trainer.trainer_process import is_alive, until

from burnish.layout import adapter as adapter_key
from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef
from burnish_trainer.artifacts.checkpoint_models import list_checkpoints
from burnish_trainer.executors.events import Event, Note, Succeeded, Suspended
from burnish_trainer.executors.local import LocalExecutor

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

DEVICES = ["cpu", "cpu"]
STEPS = 8
OPTIMIZER = {"max_steps": STEPS, "batch_size": 2, "evaluation_interval_steps": 4, "early_stopping_patience": 0}


@pytest.fixture(scope="module")
def executor(
    store_environment: dict[str, str], tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalExecutor]:
    executor = LocalExecutor(tmp_path_factory.mktemp("processes"), tiny_base, (), store_environment)
    yield executor
    executor.close()


def test_two_processes_train_one_adapter_and_go_on_after_a_stop_and_a_kill(
    executor: LocalExecutor, trainer_store: S3ObjectStore, dataset: VersionRef
) -> None:
    whole = Attempts(executor, dataset, "job-0000000000000001", OPTIMIZER, DEVICES)
    assert whole.ends(whole.start()) == "exit code 0", whole.log()
    said = whole.said()
    assert sum(isinstance(event, Note) and "2 processes" in event.message for event in said) == 1
    assert list(trained(said)) == list(range(1, STEPS + 1))  # one voice, not two
    assert whole.saved() == [4, 8]
    adapter = _adapter(said, trainer_store)

    broken = Attempts(executor, dataset, "job-0000000000000002", OPTIMIZER, DEVICES)
    worker = broken.start()
    until(lambda: len(trained(broken.said())) >= 2, 240, broken.log())
    worker.stop()  # each process hears it at its own time, and both stop after the same step
    assert broken.ends(worker) == "exit code 0", broken.log()
    suspended = broken.said()[-1]
    assert isinstance(suspended, Suspended)
    assert suspended.step == max(trained(broken.said()))
    assert [info.step for info in list_checkpoints(trainer_store, broken.job_id)][-1] == suspended.step

    worker = broken.start()
    until(lambda: trained(broken.said()), 240, broken.log())
    launcher = worker.process.pid
    ranks = [child.pid for child in psutil.Process(launcher).children(recursive=True)]
    os.kill(ranks[1], signal.SIGKILL)
    assert broken.ends(worker) == "exit code 1", broken.log()
    until(lambda: not any(is_alive(pid) for pid in (launcher, *ranks)), 15)

    assert broken.ends(broken.start()) == "exit code 0", broken.log()
    assert _adapter(broken.said(), trainer_store) == adapter
    assert trained(broken.said(), newly=False) == trained(said)


def test_two_processes_of_two_rows_train_as_one_of_four(
    executor: LocalExecutor, trainer_store: S3ObjectStore, dataset: VersionRef
) -> None:
    """The rows of a step and the weight of each token are the same; sums in bf16 round apart. Without dropout, which is each one's own."""

    def losses(job_id: str, devices: list[str]) -> dict[int, float | None]:
        optimizer = OPTIMIZER | {"batch_size": 4 // len(devices)}
        attempts = Attempts(executor, dataset, job_id, optimizer, devices)
        lora = attempts.attempt.spec.lora.model_copy(update={"dropout": 0.0})
        spec = attempts.attempt.spec.model_copy(update={"lora": lora})
        attempts.attempt = attempts.attempt.model_copy(update={"spec": spec})
        assert attempts.ends(attempts.start()) == "exit code 0", attempts.log()
        return trained(attempts.said())

    one, two = losses("job-0000000000000003", ["cpu"]), losses("job-0000000000000004", DEVICES)
    assert list(one) == list(two) == list(range(1, STEPS + 1))
    assert two == pytest.approx(one, rel=0.005)


def _adapter(said: list[Event], store: S3ObjectStore) -> bytes:
    final = said[-1]
    assert isinstance(final, Succeeded), final
    return store.get(adapter_key(final.adapter.name, final.adapter.version, "adapter_model.safetensors"))
