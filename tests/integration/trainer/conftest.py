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

import grpc
import pytest

from burnish.objectstores.s3 import S3ObjectStore
from burnish_protos.trainer.v1.trainer_pb2_grpc import TrainerStub

TOKEN = "integration-token"
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


@pytest.fixture(scope="session")
def trainer(seaweed, base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainerProcess]:
    """One trainer for the session; tests may kill it and start it again, and leave it running."""
    store = seaweed.store("trainer-integration")
    store.ensure_bucket()
    environment = {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
    }
    running = TrainerProcess(tmp_path_factory.mktemp("trainer"), base_model_dir, store, environment)
    running.start()
    yield running
    running.stop()
    assert running.worker_pids() == []


@pytest.fixture(scope="session")
def trainer_store(seaweed, trainer: TrainerProcess) -> S3ObjectStore:
    """The bucket that the trainer works on."""
    return seaweed.store("trainer-integration")


@pytest.fixture
def channel(trainer: TrainerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(trainer.address) as channel:
        yield channel


METADATA = (("authorization", f"Bearer {TOKEN}"),)


@pytest.fixture
def stub(channel: grpc.Channel) -> TrainerStub:
    return TrainerStub(channel)
