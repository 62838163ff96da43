"""Kills at random moments: which process, when, and what must hold afterwards. Used by chaos_run.py.

Moments are of two sorts: at a step of the run drawn from its whole length, so that the job lives through all its kills; and
soon after the kill before, so that starting, importing, resuming and saving are met too.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from integration.trainer.trainer_process import TrainerCalls, TrainerProcess, series
from safetensors.numpy import load

from burnish.layout import adapter as adapter_key
from burnish.objectstores import seaweedfs
from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb

KEYS = ("chaos-access-key", "chaos-secret-key")
SOON_SECONDS = 6.0
SOON_SHARE = 0.3
STUCK_SECONDS = 240.0
# A job that is killed twice a checkpoint is not a poisoned one: the limits of strikes are set out of the way here.
PATIENT = {
    "BURNISH_TRAINER_MAX_ATTEMPTS": "100",
    "BURNISH_TRAINER_MAX_TOTAL_ATTEMPTS": "1000",
    "BURNISH_TRAINER_RETRY_DELAY_SECONDS": "0.1",
    "BURNISH_TRAINER_RETRY_DELAY_MAX_SECONDS": "1",
}


class StoreProcess:
    """A SeaweedFS of its own that may be killed: it comes back over the same data, on the same ports."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._data.mkdir(parents=True)
        self._log = folder / "weed.log"
        self.ports = seaweedfs.Ports.pick()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = process = subprocess.Popen(
                seaweedfs.prepare(self._data, self.ports),
                env=seaweedfs.environment(*KEYS),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        seaweedfs.wait_ready(self.store("readiness"), has_exited=lambda: process.poll() is not None)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def store(self, bucket: str) -> S3ObjectStore:
        return S3ObjectStore(self.ports.endpoint, *KEYS, bucket)

    def environment(self, bucket: str) -> dict[str, str]:
        access_key, secret_key = KEYS
        return {
            "BURNISH_S3_ENDPOINT": self.ports.endpoint,
            "BURNISH_S3_ACCESS_KEY": access_key,
            "BURNISH_S3_SECRET_KEY": secret_key,
            "BURNISH_S3_BUCKET": bucket,
        }


@contextmanager
def running(folder: Path, base_model: Path) -> Iterator[tuple[StoreProcess, TrainerProcess, S3ObjectStore]]:
    """A store and a trainer of their own, in the folder."""
    store_process = StoreProcess(folder / "store")
    store_process.start()
    store = store_process.store("chaos")
    store.ensure_bucket()
    trainer = TrainerProcess(folder, base_model, {**store_process.environment("chaos"), **PATIENT})
    trainer.start()
    try:
        yield store_process, trainer, store
    finally:
        trainer.stop()
        store_process.kill()


@dataclass(frozen=True)
class Result:
    """What a job left: its adapter and its final series."""

    adapter: VersionRef
    weights: bytes
    train: dict[int, float]
    validation: dict[int, float]
    attempts: int
    seconds: float
    kills: Counter[str] = field(default_factory=Counter)

    def largest_difference(self, other: Result) -> float:
        """Of any weight; 0 where the adapters are the same, bit for bit."""
        ours, theirs = load(self.weights), load(other.weights)
        assert ours.keys() == theirs.keys()
        return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


def train(calls: TrainerCalls, store: S3ObjectStore, **create: Any) -> Result:
    """A job that nobody disturbs."""
    began = time.monotonic()
    return ended(calls, store, calls.create(**create).job_id, began, Counter())


def ended(calls: TrainerCalls, store: S3ObjectStore, job_id: str, began: float, kills: Counter[str]) -> Result:
    """Wait for a job's end, and hold its events to what they promise: no gap, no step lost or told twice in the end."""
    list(calls.watch(job_id))
    job = calls.get(job_id)
    assert job.state == pb.TuningJob.STATE_SUCCEEDED, job.error
    events = list(calls.watch(job_id))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    train, validation = series(events), series(events, "validation_loss")
    steps, interval = job.spec.optimizer.max_steps, job.spec.optimizer.evaluation_interval_steps
    assert sorted(train) == list(range(1, steps + 1))
    assert sorted(validation) == list(range(interval, steps + 1, interval))
    told = Counter((e.metrics.step, e.metrics.HasField("train_loss"), e.attempt) for e in events if e.metrics.step)
    assert max(told.values()) == 1, "an attempt told a step twice"
    ref = VersionRef(name=job.adapter.name, version=job.adapter.version)
    weights = store.get(adapter_key(ref.name, ref.version, "adapter_model.safetensors"))
    return Result(ref, weights, train, validation, job.attempts, time.monotonic() - began, kills)


class Chaos:
    """Kills processes of one trainer while a job runs. seed: of which and when."""

    def __init__(self, trainer: TrainerProcess, store: StoreProcess, seed: int) -> None:
        self._trainer = trainer
        self._store = store
        self._random = random.Random(seed)
        self._killers: dict[str, Callable[[], bool]] = {
            "worker": lambda: self._kill_one(self._trainer.worker_pids()),
            "trainer": self._kill_trainer,
            "spare": lambda: self._kill_one(self._trainer.spare_pids()),
            "checker": lambda: self._kill_one(self._trainer.checker_pids()),
            "store": self._kill_store,
        }

    def torment(self, calls: TrainerCalls, job_id: str, steps: int, kinds: Sequence[str]) -> Counter[str]:
        """Kill one of each entry of `kinds`, in random order, before the job has ended. Returns how many of each were killed."""
        kinds = self._random.sample(kinds, len(kinds))
        at = sorted(self._random.uniform(1, 0.95 * steps) for _ in kinds)
        killed: Counter[str] = Counter()
        for kind, step in zip(kinds, at, strict=True):
            self._wait(calls, job_id, step)
            while not self._killers[kind]():  # nothing of the kind runs just now
                time.sleep(0.05)
            killed[kind] += 1
        return killed

    def _wait(self, calls: TrainerCalls, job_id: str, step: float) -> None:
        """Until the job has come to the step; or, now and then, not that long."""
        limit = STUCK_SECONDS
        if soon := self._random.random() < SOON_SHARE:
            limit = self._random.uniform(0, SOON_SECONDS)
        over_at = time.monotonic() + limit
        while calls.get(job_id).progress.step < step:
            if time.monotonic() > over_at:
                assert soon, f"the job does not come to step {step:.0f} within {limit} s"
                return
            time.sleep(0.02)

    def _kill_one(self, pids: Sequence[int]) -> bool:
        for pid in self._random.sample(pids, min(1, len(pids))):
            os.kill(pid, signal.SIGKILL)
        return bool(pids)

    def _kill_trainer(self) -> bool:
        self._trainer.kill()
        time.sleep(self._random.uniform(0, 1))
        self._trainer.start()
        return True

    def _kill_store(self) -> bool:
        self._store.kill()
        time.sleep(self._random.uniform(0, 2))
        self._store.start()
        return True
