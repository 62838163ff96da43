"""A trainer started as users start it, its processes as the kernel shows them, and calls to it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc

from burnish.schemas.base import VersionRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1.trainer_pb2_grpc import TrainerStub

TOKEN = "integration-token"
METADATA = (("authorization", f"Bearer {TOKEN}"),)
JOB_SECONDS = 600
START_SECONDS = 180
SERVING = re.compile(rb"serving on [^:]+:(\d+)")


class TrainerProcess:
    """`python -m burnish_trainer.main`, which can be killed and started again on the same port and folders.

    environment: beyond what every trainer of the tests has; a queue of its own where it names none.
    """

    def __init__(self, folder: Path, base_model: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.work_dir = folder / "work"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.log = folder / "trainer.log"
        self._environment = {
            "BURNISH_TOKEN": TOKEN,
            "BURNISH_TRAINER_PORT": str(self.port),
            "BURNISH_TRAINER_DATABASE_URL": f"sqlite:///{folder / 'queue.db'}",
            "BURNISH_TRAINER_WORK_DIR": str(self.work_dir),
            "BURNISH_TRAINER_BASE_MODEL": str(base_model),
            "BURNISH_TRAINER_DEVICE": "cpu",
            "BURNISH_TRAINER_RETRY_DELAY_SECONDS": "0.1",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "burnish_trainer.main"],
                env=os.environ | self._environment,
                stdout=output,
                stderr=output,
            )
        until(lambda: self._serves(start), START_SECONDS, "the trainer does not start")

    def _serves(self, start: int) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the trainer ended:\n{self.log.read_text()}"
        return SERVING.search(self.log.read_bytes()[start:]) is not None

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def stop(self) -> None:
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=90)

    def worker_pids(self, job_id: str = "") -> list[int]:
        """Processes that train, of one job or all: those that log into an attempt's folder, wherever their parent is."""
        attempts = str(self.work_dir / "jobs" / job_id)
        return [pid for pid in _processes() if _stderr_of(pid).startswith(attempts)]

    def spare_pids(self) -> list[int]:
        spare = str(self.work_dir / "spare.log")
        return [pid for pid in _processes() if _stderr_of(pid).removesuffix(" (deleted)") == spare]

    def has_warm_spare(self) -> bool:
        """A spare that has loaded its libraries: by then its memory is most of what they take."""
        return any(_resident_bytes(pid) > WARM_BYTES and _is_asleep(pid) for pid in self.spare_pids())

    def checker_pids(self) -> list[int]:
        """Preflight's process."""
        return [pid for pid in self._children() if b"burnish_trainer.preflight" in _command_of(pid)]

    def _children(self) -> list[int]:
        own = str(self.work_dir).encode()
        return [pid for pid in _processes() if own in _file(pid, "environ")]

    def call(self) -> TrainerCalls:
        return TrainerCalls(self.address)


WARM_BYTES = 450_000_000


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _file(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _command_of(pid: int) -> bytes:
    return _file(pid, "cmdline")


def _stderr_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/fd/2").readlink())
    except OSError:
        return ""


def _resident_bytes(pid: int) -> int:
    pages = _file(pid, "statm").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def _is_asleep(pid: int) -> bool:
    return b"State:\tS" in _file(pid, "status")


def is_alive(pid: int) -> bool:
    """A zombie that nobody has waited for yet is not."""
    status = _file(pid, "status")
    return bool(status) and b"State:\tZ" not in status


def until(condition: Callable[[], Any], seconds: float = 90, what: str = "it does not come true") -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} within {seconds} s"
        time.sleep(0.05)
    return answer


class TrainerCalls:
    """The RPCs with the token, over a channel of its own."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self._stub = TrainerStub(self.channel)

    def create(self, dataset: VersionRef, request_id: str = "", priority: int = 0, **fields: Any) -> pb.TuningJob:
        spec = pb.TuningSpec(
            **{
                "dataset": pb.DatasetRef(name=dataset.name, version=dataset.version),
                "adapter_name": "colours",
                "sft": pb.SftParams(),
                **fields,
            }
        )
        request = pb.CreateTuningJobRequest(spec=spec, request_id=request_id, priority=priority)
        return self._stub.CreateTuningJob(request, metadata=METADATA)

    def get(self, job_id: str) -> pb.TuningJob:
        return self._stub.GetTuningJob(pb.GetTuningJobRequest(job_id=job_id), metadata=METADATA, wait_for_ready=True)

    def cancel(self, job_id: str) -> pb.TuningJob:
        return self._stub.CancelTuningJob(pb.CancelTuningJobRequest(job_id=job_id), metadata=METADATA)

    def delete(self, job_id: str) -> None:
        self._stub.DeleteTuningJob(pb.DeleteTuningJobRequest(job_id=job_id), metadata=METADATA)

    def pause(self, job_id: str) -> pb.TuningJob:
        return self._stub.PauseTuningJob(pb.PauseTuningJobRequest(job_id=job_id), metadata=METADATA)

    def resume(self, job_id: str) -> pb.TuningJob:
        return self._stub.ResumeTuningJob(pb.ResumeTuningJobRequest(job_id=job_id), metadata=METADATA)

    def checkpoints(self, job_id: str) -> list[pb.CheckpointInfo]:
        request = pb.ListCheckpointsRequest(job_id=job_id)
        return list(self._stub.ListCheckpoints(request, metadata=METADATA).checkpoints)

    def publish(self, job_id: str, step: int) -> pb.AdapterRef:
        request = pb.PublishCheckpointRequest(job_id=job_id, step=step)
        return self._stub.PublishCheckpoint(request, metadata=METADATA)

    def watch(self, job_id: str, after: int = 0) -> Iterator[pb.TuningJobEvent]:
        request = pb.WatchTuningJobRequest(job_id=job_id, after_sequence=after)
        return iter(self._stub.WatchTuningJob(request, metadata=METADATA, timeout=JOB_SECONDS, wait_for_ready=True))

    def reaches_step(self, job_id: str, step: int, seconds: float = 200) -> None:
        until(lambda: self.get(job_id).progress.step >= step, seconds, f"{job_id} does not reach step {step}")

    def reaches_state(self, job_id: str, state: pb.TuningJob.State, seconds: float = 90) -> pb.TuningJob:
        until(lambda: self.get(job_id).state == state, seconds, f"{job_id} does not become {state}")
        return self.get(job_id)


def series(events: list[pb.TuningJobEvent], name: str = "train_loss") -> dict[int, float]:
    """step -> value; the last telling of a step counts."""
    told = sorted(events, key=lambda event: event.sequence)
    return {e.metrics.step: getattr(e.metrics, name) for e in told if e.metrics.HasField(name)}


def messages(events: list[pb.TuningJobEvent]) -> list[str]:
    return [event.message for event in events if event.message]
