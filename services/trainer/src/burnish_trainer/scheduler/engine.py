"""The engine: claims queued jobs, has each prepared, and drives each on its devices by one worker process.

Runs inside the process that answers RPCs, as one task, and never imports torch. Everything it must remember is in the
queue, so it may be killed at any moment: the next engine drains the events that were left and starts the job again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from burnish.errors import UnavailableError
from burnish.ports import ObjectStore
from burnish.telemetry import logs
from burnish.telemetry.tracing import Tracing, within
from burnish_trainer.executors import Executor
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.preflight.types import Planner
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import QUEUE, News
from burnish_trainer.queue.repository import JobRepository, LeaseLost
from burnish_trainer.scheduler.attempt import Driver
from burnish_trainer.scheduler.devices import CPU, DevicePool
from burnish_trainer.scheduler.lease import Desk
from burnish_trainer.scheduler.policy import EnginePolicy
from burnish_trainer.scheduler.preparation import Preparing
from burnish_trainer.scheduler.retention import Aftercare

log = logging.getLogger(__name__)

IDLE_POLL_SECONDS = 1.0  # for jobs that came in through another process; those of this one are told
THREADS_BESIDE_JOBS = 4  # claiming, preparing, sweeping, one to spare


class Engine:
    """engine_id: stable over restarts on one work directory, so that a restarted engine takes its own jobs up at once."""

    def __init__(
        self,
        engine_id: str,
        repository: JobRepository,
        executor: Executor,
        planner: Planner,
        store: ObjectStore,
        news: News,
        policy: EnginePolicy,
        devices: Sequence[str] = (CPU,),
        metrics: TrainerMetrics | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._id = engine_id
        self._repository = repository
        self._executor = executor
        self._news = news
        self._policy = policy
        self._metrics = metrics or TrainerMetrics()
        tracing = tracing or Tracing("burnish-trainer")
        self._pool = DevicePool(devices, policy.workers)
        self._stopping = asyncio.Event()
        threads = self._pool.slots + THREADS_BESIDE_JOBS
        self._desk = Desk(
            engine_id, repository, news, policy.lease_seconds, policy.poll_seconds, threads, self._metrics
        )
        self._driver = Driver(self._desk, executor, policy, self._stopping, self._metrics, tracing)
        self._preparing = Preparing(self._desk, planner, policy, self._pool.all, self._stopping, self._metrics, tracing)
        self._aftercare = Aftercare(repository, executor, store, policy.keep_checkpoints)
        self._silent = False  # the queue's database has not answered the last time
        self._driven: dict[str, asyncio.Task[None]] = {}
        self._prepared: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Claim, prepare and drive jobs until `stop`; then return once every worker has ended."""
        sweeping = asyncio.create_task(self._desk.call(self._aftercare.sweep))
        with self._news.subscribe(QUEUE) as queue:
            while not self._stopping.is_set():
                await self._claim()
                await queue.changed(IDLE_POLL_SECONDS)
        await asyncio.gather(*self._driven.values(), *self._prepared.values(), sweeping)
        self._preparing.close()
        await self._desk.call(self._executor.close)
        self._desk.close()

    def stop(self) -> None:
        """Claim nothing more; workers save a checkpoint at their step boundary and end; their jobs go back to the queue."""
        self._stopping.set()
        self._aftercare.stop()
        self._news.tell(QUEUE)
        for job_id in self._driven:
            self._news.tell(job_id)

    async def _claim(self) -> None:
        """Take as many jobs as there is room for."""
        try:
            for job in await self._desk.call(self._repository.tidy):
                self._metrics.ended(job)
                self._news.tell(job.job_id)
            while (free := self._pool.free()) and await self._claim_device(free):
                pass
            if not self._prepared:
                await self._claim_preparation()
        except UnavailableError as error:
            if not self._silent:
                log.warning("%s; asking again every %.0f s", error, IDLE_POLL_SECONDS)
            self._silent = True
        else:
            self._silent = False

    async def _claim_device(self, free: Sequence[str]) -> bool:
        active, lease_seconds = self._active(), self._policy.lease_seconds
        job = await self._desk.call(
            self._repository.claim_device, self._id, active, free, self._pool.all, lease_seconds
        )
        if job is None:
            return False
        self._pool.take(job.devices)
        self._start(self._driven, job, self._drive(job))
        return True

    async def _claim_preparation(self) -> None:
        job = await self._desk.call(
            self._repository.claim_preparation, self._id, self._active(), self._policy.lease_seconds
        )
        if job is not None:
            self._start(self._prepared, job, self._preparing.prepare(job))

    def _active(self) -> tuple[str, ...]:
        return (*self._driven, *self._prepared)

    def _start(self, kept: dict[str, asyncio.Task[None]], job: Job, work: Coroutine[Any, Any, None]) -> None:
        self._news.tell(job.job_id)

        def forget(_task: asyncio.Task[None]) -> None:
            del kept[job.job_id]
            self._news.tell(QUEUE)

        task = asyncio.create_task(self._guarded(job, work))
        kept[job.job_id] = task
        task.add_done_callback(forget)

    async def _drive(self, job: Job) -> None:
        devices = job.devices
        try:
            job = await self._driver.drive(job)
        finally:
            self._pool.give_back(devices)
            self._news.tell(QUEUE)
        if job.state.ended:
            await self._desk.call(self._aftercare.after, job)

    async def _guarded(self, job: Job, work: Coroutine[Any, Any, None]) -> None:
        """One job's failure must not end the engine: it is a strike against the job, and others go on."""
        with within(job.traceparent), logs.fields(job_id=job.job_id):
            await self._guarded_work(job, work)

    async def _guarded_work(self, job: Job, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except LeaseLost as lost:
            log.warning("%s", lost)
        except Exception as error:
            log.exception("%s failed in the engine", job.job_id)
            try:
                await self._driver.fail(job, error)
            except LeaseLost as lost:
                log.warning("%s", lost)
            except Exception:
                log.exception("%s is taken up again", job.job_id)
                await asyncio.sleep(self._policy.retry_delay_seconds)
