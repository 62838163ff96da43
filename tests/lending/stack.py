"""A trainer and an inference service that share one card: real processes, each of which can be killed. Used by the lease's end-to-end test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from integration.trainer.trainer_process import TOKEN, TrainerCalls, TrainerProcess, messages, series, until

from burnish.schemas.base import VersionRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from lending.card import Card

STEPS, INTERVAL = 200, 20
OPTIMIZER = {"max_steps": STEPS, "learning_rate": 5e-3, "batch_size": 4, "evaluation_interval_steps": INTERVAL}
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
LEASE_SECONDS = 120.0
BACK_SECONDS = 300.0
ENDED_SECONDS = 5.0


class Service:
    """`python -m lending.service`, which can be killed and started again on the same port and folder."""

    def __init__(self, folder: Path, base: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.card = Card(folder / "card")
        self.is_meant_to_live = False
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        tests = str(Path(__file__).parents[1])
        self._environment = {"BURNISH_TOKEN": TOKEN, "PYTHONPATH": os.pathsep.join([tests, *sys.path]), **environment}
        self._command = [sys.executable, "-m", "lending.service", str(folder), str(base), str(port), "cpu"]
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(base_url=self.url, headers=HEADERS, timeout=30, trust_env=False)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, env=os.environ | self._environment, stdout=log, stderr=log)
        until(self.device, BACK_SECONDS, "the inference service does not answer")
        self.is_meant_to_live = True

    def kill(self) -> None:
        assert self._process is not None
        self.is_meant_to_live = False
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self.is_meant_to_live = False
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)
        self._http.close()

    def kill_vllm(self) -> None:
        """A death in vLLM's first start ends the service too; whoever keeps the stack up starts that again, so here as well."""
        assert self._process is not None
        self.is_meant_to_live = False
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.cmdline()[1:3] == ["-m", "lending.vllm"]:
                    process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=ENDED_SECONDS)
            self.start()
        self.is_meant_to_live = True

    def device(self) -> dict[str, Any]:
        """Who has the card, as the service says; empty if it does not answer."""
        with suppress(httpx.TransportError):
            status: dict[str, Any] = self._http.get("/v1/device").json()
            return status
        return {}

    @property
    def phase(self) -> str:
        return str(self.device().get("phase"))

    def is_serving(self) -> bool:
        """vLLM has the card, and nobody else wants it."""
        device = self.device()
        return device.get("phase") == "serving" and device["holder"] is None and self.card.is_taken()


class Lending:
    """Both, before one store. `with Lending(…) as lending:`"""

    def __init__(
        self,
        folder: Path,
        base: Path,
        dataset: VersionRef,
        store: Mapping[str, str],
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.service = Service(folder / "inference", base, store)
        own = {
            "BURNISH_TRAINER_INFERENCE_URL": self.service.url,
            "BURNISH_TRAINER_DEVICE_LEASE_SECONDS": str(lease_seconds),
            "BURNISH_TRAINER_WARM_WORKERS": "0",
        }
        (folder / "trainer").mkdir(parents=True)
        self.trainer = TrainerProcess(folder / "trainer", base, {**store, **own})
        self._dataset = dataset

    def __enter__(self) -> Lending:
        with ExitStack() as started:
            started.callback(self.service.stop)
            self.service.start()
            started.callback(self.trainer.stop)
            self.trainer.start()
            self.calls: TrainerCalls = self.trainer.call()
            started.callback(self.calls.channel.close)
            until(self.service.is_serving, BACK_SECONDS, "vLLM does not serve")
            self._started = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def create(self) -> str:
        return self.calls.create(self._dataset, optimizer=pb.OptimizerParams(**OPTIMIZER)).job_id

    def reaches_step(self, job_id: str, step: int) -> None:
        next(event for event in self.calls.watch(job_id) if event.metrics.step >= step)

    def kill(self, victim: str) -> None:
        """SIGKILL; what nobody starts again by itself is started by this."""
        match victim:
            case "vllm":
                self.service.kill_vllm()
            case "worker":
                os.kill(self._worker_pid(), signal.SIGKILL)
            case "trainer":
                self.trainer.kill()
                self.trainer.start()
            case "inference":
                self.service.kill()
                self.service.start()

    @contextmanager
    def frozen_worker(self) -> Iterator[None]:
        """It takes no step meanwhile."""
        pid = self._worker_pid()
        os.kill(pid, signal.SIGSTOP)
        yield
        os.kill(pid, signal.SIGCONT)

    def _worker_pid(self) -> int:
        (pid,) = self.trainer.worker_pids()
        return pid

    def require_whole(self, job_id: str) -> str:
        """The job has succeeded with every step and event, and the card is back; the adapter's version."""
        list(self.calls.watch(job_id))
        ended = self.calls.get(job_id)
        assert ended.state == pb.TuningJob.STATE_SUCCEEDED, ended.error
        events = list(self.calls.watch(job_id))
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert sorted(series(events)) == list(range(1, STEPS + 1))
        assert any(message.startswith("serving has lent cpu") for message in messages(events)), messages(events)
        until(self.service.is_serving, BACK_SECONDS, "the card does not come back")
        version: str = ended.adapter.version
        return version
