"""Several GPUs of one host through `accelerate launch`: the same training as on one.

On a machine with two CUDA devices this would show that each process holds its own GPU (no model is spread over both), that two
devices of 2 rows a step give the losses of one device of 4 within 2 % (bf16 sums round apart), and that a DPO job's reference
pass is shared: every sequence once, first loss ln 2.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from integration.trainer.attempts import Attempts, trained
from unit.trainer.made import dpo_rows, job_spec, put_dataset, sft_rows

from burnish.machine.gpus import visible
from burnish.objectstores.s3 import S3ObjectStore
from burnish_trainer.executors.events import Event, Note, Succeeded
from burnish_trainer.executors.local import LocalExecutor

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.model,
    pytest.mark.timeout(600),
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices"),
]


@pytest.fixture
def executor(seaweed: Any, store: S3ObjectStore, tmp_path: Path, base_model_dir: Path) -> Iterator[LocalExecutor]:
    environment = dict(os.environ) | {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": store.bucket,
    }
    executor = LocalExecutor(tmp_path, base_model_dir, [gpu.uuid for gpu in visible(os.environ)], environment)
    yield executor
    executor.close()


@pytest.fixture
def store(seaweed: Any) -> S3ObjectStore:
    store: S3ObjectStore = seaweed.store("multi-gpu")
    store.ensure_bucket()
    return store


def run(executor: LocalExecutor, store: S3ObjectStore, method: str, devices: int) -> list[Event]:
    """The events of a job of 8 steps of 4 rows, on so many devices."""
    rows = dpo_rows if method == "dpo" else sft_rows
    dataset = put_dataset(store, rows(16), rows(4, "v"), name=method)
    optimizer = {"max_steps": 8, "batch_size": 4 // devices, "evaluation_interval_steps": 4, "learning_rate": 1e-3}
    spec = job_spec(dataset, method, backend="peft", device_count=devices, optimizer=optimizer)
    places = [f"cuda:{index}" for index in range(devices)]
    attempts = Attempts(executor, dataset, f"job-{devices:016x}", optimizer, places)
    attempts.attempt = attempts.attempt.model_copy(update={"spec": spec})
    assert attempts.ends(attempts.start()) == "exit code 0", attempts.log()
    said = attempts.said()
    assert isinstance(said[-1], Succeeded)
    return said


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_two_gpus_train_as_one(executor: LocalExecutor, store: S3ObjectStore, method: str) -> None:
    one, two = (trained(run(executor, store, method, devices)) for devices in (1, 2))
    assert two == pytest.approx(one, rel=0.02)


def test_the_reference_pass_is_shared(executor: LocalExecutor, store: S3ObjectStore) -> None:
    said = run(executor, store, "dpo", 2)
    assert trained(said)[1] == pytest.approx(math.log(2), abs=1e-3)
    notes = [event.message for event in said if isinstance(event, Note) and "reference log-prob" in event.message]
    assert len(notes) == 1
