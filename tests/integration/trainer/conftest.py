"""A trainer started as users start it, over a real SeaweedFS, and a channel to it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from unit.trainer.made import tiny_model

from burnish.objectstores.s3 import S3ObjectStore
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1.trainer_pb2_grpc import TrainerStub
from burnish_trainer.spec import VersionRef

TOKEN = "integration-token"
METADATA = (("authorization", f"Bearer {TOKEN}"),)
JOB_SECONDS = 240
START_SECONDS = 30
SERVING = re.compile(rb"serving on [^:]+:(\d+)")


class TrainerProcess:
    """`python -m burnish_trainer.main`, which can be killed and started again on the same port and folders."""

    def __init__(self, folder: Path, base_model: Path, store: S3ObjectStore, environment: dict[str, str]) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._log = folder / "trainer.log"
        self._environment = environment | {
            "BURNISH_TOKEN": TOKEN,
            "BURNISH_S3_BUCKET": store.bucket,
            "BURNISH_TRAINER_PORT": str(self.port),
            "BURNISH_TRAINER_DATABASE_URL": f"sqlite:///{folder / 'queue.db'}",
            "BURNISH_TRAINER_WORK_DIR": str(folder / "work"),
            "BURNISH_TRAINER_BASE_MODEL": str(base_model),
            "BURNISH_TRAINER_DEVICE": "cpu",
            "BURNISH_TRAINER_RETRY_DELAY_SECONDS": "0.1",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        start = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "burnish_trainer.main"],
                env=os.environ | self._environment,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + START_SECONDS
        while not SERVING.search(self._log.read_bytes()[start:]):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the trainer does not start:\n{self._log.read_text()}")
            time.sleep(0.05)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def stop(self) -> None:
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=90)

    def worker_pids(self) -> list[int]:
        """Processes that train: named by their command line, wherever their parent is."""
        pids = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if b"burnish_trainer.worker" in command and str(self.folder).encode() in command:
                    pids.append(int(entry.name))
        return pids

    def call(self) -> TrainerCalls:
        return TrainerCalls(self.address)


class TrainerCalls:
    """The RPCs with the token, over a channel of its own."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self._stub = TrainerStub(self.channel)

    def create(self, dataset: VersionRef, request_id: str = "", **fields: Any) -> pb.TuningJob:
        spec = pb.TuningSpec(
            **{
                "dataset": pb.DatasetRef(name=dataset.name, version=dataset.version),
                "adapter_name": "colours",
                "sft": pb.SftParams(),
                **fields,
            }
        )
        return self._stub.CreateTuningJob(
            pb.CreateTuningJobRequest(spec=spec, request_id=request_id), metadata=METADATA
        )

    def get(self, job_id: str) -> pb.TuningJob:
        return self._stub.GetTuningJob(pb.GetTuningJobRequest(job_id=job_id), metadata=METADATA, wait_for_ready=True)

    def cancel(self, job_id: str) -> pb.TuningJob:
        return self._stub.CancelTuningJob(pb.CancelTuningJobRequest(job_id=job_id), metadata=METADATA)

    def watch(self, job_id: str, after: int = 0) -> Iterator[pb.TuningJobEvent]:
        request = pb.WatchTuningJobRequest(job_id=job_id, after_sequence=after)
        return iter(self._stub.WatchTuningJob(request, metadata=METADATA, timeout=JOB_SECONDS, wait_for_ready=True))


def _environment(seaweed: Any) -> dict[str, str]:
    return {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
    }


@pytest.fixture(scope="session")
def trainer_store(seaweed: Any) -> S3ObjectStore:
    """The bucket that the trainers work on."""
    store: S3ObjectStore = seaweed.store("trainer-integration")
    store.ensure_bucket()
    return store


@pytest.fixture(scope="session")
def trainer(
    seaweed: Any, trainer_store: S3ObjectStore, base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrainerProcess]:
    """A trainer on a small random base model; tests may kill it and start it again, and leave it running."""
    folder = tmp_path_factory.mktemp("trainer")
    running = TrainerProcess(folder, tiny_model(base_model_dir, folder / "tiny"), trainer_store, _environment(seaweed))
    running.start()
    yield running
    running.stop()
    assert running.worker_pids() == []


@pytest.fixture
def smollm_trainer(
    seaweed: Any, trainer_store: S3ObjectStore, base_model_dir: Path, tmp_path: Path
) -> Iterator[TrainerProcess]:
    """A trainer on the real SmolLM2."""
    running = TrainerProcess(tmp_path, base_model_dir, trainer_store, _environment(seaweed))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def calls(trainer: TrainerProcess) -> Iterator[TrainerCalls]:
    calls = trainer.call()
    yield calls
    calls.channel.close()
