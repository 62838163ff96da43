"""An engine over a queue of its own, whose workers are real processes that follow a script, and ways to look at both."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from integration.trainer.queue.jobs import PREVIEW
from unit.trainer.made import job_spec
from unit.trainer.scheduler.jobs import policy

from burnish.errors import NotFoundError, ResourceExhaustedError, UnavailableError
from burnish.layout import checkpoint
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import VersionRef
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.job_state import JobState
from burnish.schemas.training.tuning import Finding
from burnish_trainer.executors.assignment import Attempt
from burnish_trainer.executors.local import LocalExecutor, LocalWorker
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.preflight.types import Preview
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import QUEUE, Notifier
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.scheduler.engine import Engine
from burnish_trainer.serving import Serving

SCRIPT = Path(__file__).with_name("scripted_worker.py")
GPUS = ("GPU-a", "GPU-b", "GPU-c")  # what cuda:0, … are, where a test has such devices
WAIT_SECONDS = 60.0  # a shared machine may take long to start a process


class ScriptedPlanner:
    """Finds what the job's adapter_name says, after as long as it says; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.given_up: list[str] = []
        self.open = threading.Event()

    def preview(
        self, spec: JobSpec, deadline: datetime | None = None, given_up: threading.Event | None = None
    ) -> Preview:
        self.asked.append(spec.adapter_name)
        match spec.adapter_name:
            case "refused":
                finding = Finding(
                    code="labels-masked",
                    severity="refusal",
                    message="no token of 2 rows is trained",
                    question_ids=["q1", "q2"],
                    count=2,
                )
                return PREVIEW.model_copy(update={"findings": [finding], "estimate": None})
            case "unpreparable":
                raise UnavailableError("the object store does not answer")
            case "unpreparable-once" if self.asked.count(spec.adapter_name) == 1:
                raise UnavailableError("the object store does not answer")
            case "vanished":
                raise NotFoundError("dataset colours does not exist any more")
            case "defective":
                raise ZeroDivisionError("a defect of preflight")
            case "stalls":
                return PREVIEW.model_copy(update={"estimate": None})
            case "slow":
                until = time.monotonic() + WAIT_SECONDS
                while not self.open.wait(0.02):
                    assert time.monotonic() < until
                    if given_up is not None and given_up.is_set():
                        self.given_up.append(spec.adapter_name)
                        raise UnavailableError("nobody waits for it any more")
            case "absurd":
                raise ResourceExhaustedError("preflight took longer than 600 s and was ended")
        return PREVIEW


class WatchedRepository(JobRepository):
    """Counts the engine's rounds: it begins each by expiring jobs."""

    expirations = 0

    def expire(self) -> list[Job]:
        self.expirations += 1
        return super().expire()


class Starter(LocalExecutor):
    """Starts scripted workers; has a defect that one script meets."""

    def start(self, attempt: Attempt, devices: Sequence[str]) -> LocalWorker:
        if attempt.spec.adapter_name == "defeats-the-engine":
            raise ZeroDivisionError("a defect of the executor")
        return super().start(attempt, devices)


class Bench:
    """A queue, an engine over it, and ways to look at both."""

    def __init__(
        self,
        url: str,
        folder: Path,
        devices: Sequence[str] = ("cpu",),
        serving: Serving | None = None,
        **changes: Any,
    ) -> None:
        self.database = Database(url, busy_timeout_seconds=0.05)
        self.repository = WatchedRepository(self.database)
        self.store = MemoryObjectStore()
        self.notifier = Notifier()
        self.folder = folder
        self.planner = ScriptedPlanner()
        self.devices = devices
        self.serving = serving
        self.metrics = TrainerMetrics()
        self.policy = policy(**{"retry_delay_seconds": 0.01, "poll_seconds": 0.02, **changes})
        self.engine = self.make_engine()

    def make_engine(self, engine_id: str = "engine-a") -> Engine:
        executor = Starter(self.folder, self.folder, GPUS, {}, command=(sys.executable, str(SCRIPT)))
        return Engine(
            engine_id,
            self.repository,
            executor,
            self.planner,
            self.store,
            self.notifier,
            self.policy,
            self.devices,
            self.metrics,
            serving=self.serving,
            device_names={"cpu": "cpu:this"},
        )

    def queue(self, script: str, device_count: int = 1, retry_smaller: bool = False, **options: Any) -> str:
        dataset = VersionRef(name="colours", version="0" * 16)
        spec = job_spec(dataset, adapter_name=script, device_count=device_count, retry_smaller=retry_smaller)
        job_id = self.repository.create(spec, None, "digest", **options).job_id
        self.notifier.notify(QUEUE)
        return job_id

    def ask(self, request: str, job_id: str) -> Job:
        """cancel, pause or resume, as the servicer does it."""
        job: Job = getattr(self.repository, request)(job_id)
        self.notifier.requested(job_id)
        return job

    def states(self, job_id: str) -> list[JobState]:
        return [event.state for event in self.repository.events_after(job_id, 0, 1000) if event.state]

    def messages(self, job_id: str) -> list[str]:
        return [event.message for event in self.repository.events_after(job_id, 0, 1000) if event.message]

    async def until(self, job_id: str, condition: Callable[[Job], bool]) -> Job:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition(job := self.repository.get(job_id)):
            assert time.monotonic() < deadline, f"{job} {self.messages(job_id)}"
            await asyncio.sleep(0.02)
        return job

    async def engine_has_looked(self) -> None:
        """Wait until the engine has tried to claim once more."""
        before = self.repository.expirations
        await until(lambda: self.repository.expirations > before + 1)

    async def ended(self, script: str) -> Job:
        return await self.until(self.queue(script), lambda job: job.state.ended)


async def until(condition: Callable[[], Any], what: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(0.02)


def stored_files(store: MemoryObjectStore, job_id: str, step: int) -> list[str]:
    return sorted(info.key.rsplit("/", 1)[1] for info in store.list(checkpoint(job_id, step, "")))


Start = Callable[..., Awaitable[Bench]]
