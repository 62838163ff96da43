"""The engine: claims queued jobs, has each prepared, and drives each on its devices by one worker process.

Runs inside the process that answers RPCs, as one task, and never imports torch. Everything it must remember is in the
queue, so it may be killed at any moment: the next engine reads the events that were left and starts the job again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from burnish.errors import InternalError, UnavailableError
from burnish.ports import ObjectStore
from burnish.telemetry import logs
from burnish.telemetry.tracing import Tracing, within
from burnish_trainer.executors import Executor
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.preflight.types import Planner
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import QUEUE, Notifier, requests_of
from burnish_trainer.queue.repository import JobRepository, LeaseLost
from burnish_trainer.scheduler.attempt import AttemptRunner
from burnish_trainer.scheduler.device_lease import DeviceLeases
from burnish_trainer.scheduler.devices import CPU, DevicePool
from burnish_trainer.scheduler.lease import Leases
from burnish_trainer.scheduler.policy import Policy, after_failure
from burnish_trainer.scheduler.preparation import Preparation
from burnish_trainer.scheduler.release import Releases
from burnish_trainer.scheduler.retention import Retention
from burnish_trainer.serving import Serving

log = logging.getLogger(__name__)

IDLE_POLL_SECONDS = 1.0  # for jobs that came in through another process; this one's own notify the engine
THREADS_BESIDE_JOBS = 4  # and releases, one at each provider: claiming, preparing, retention, one to spare


class Engine:
    """engine_id: stable over restarts on one work directory, so that a restarted engine takes its own jobs up at once.

    serving: whom to ask for the devices of a job, if somebody else may have them; device_names: their names by burnish.machine.devices.
    """

    def __init__(
        self,
        engine_id: str,
        repository: JobRepository,
        executor: Executor,
        planner: Planner,
        store: ObjectStore,
        notifier: Notifier,
        policy: Policy,
        devices: Sequence[str] = (CPU,),
        metrics: TrainerMetrics | None = None,
        tracing: Tracing | None = None,
        serving: Serving | None = None,
        device_names: Mapping[str, str] | None = None,
        providers: Sequence[str] = (),
    ) -> None:
        self._id = engine_id
        self._repository = repository
        self._executor = executor
        self._notifier = notifier
        self._policy = policy
        self._metrics = metrics or TrainerMetrics()
        tracing = tracing or Tracing("burnish-trainer")
        self._pool = DevicePool(devices, policy.workers)
        self._stopping = asyncio.Event()
        self._providers = providers
        threads = self._pool.slots + policy.hosted_jobs + len(providers) + THREADS_BESIDE_JOBS
        self._leases = Leases(engine_id, repository, notifier, policy, threads, self._metrics)
        ttl_seconds = policy.device_lease_seconds
        device_leases = DeviceLeases(self._leases, serving, device_names or {}, ttl_seconds)
        self._runner = AttemptRunner(
            self._leases, device_leases, executor, policy, self._stopping, self._metrics, tracing
        )
        self._preparation = Preparation(
            self._leases, planner, policy, self._pool.all, self._stopping, self._metrics, tracing
        )
        self._retention = Retention(repository, executor, store, policy.keep_checkpoints)
        self._releases = Releases(self._leases, executor, providers, self._stopping)
        self._database_is_away = False
        self._hosted = 0
        self._running: dict[str, asyncio.Task[None]] = {}
        self._preparing: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Claim, prepare and run jobs until `stop`; then return once every worker has ended."""
        leftovers = asyncio.create_task(self._leases.in_thread(self._retention.apply_to_leftovers))
        releases = asyncio.create_task(self._releases.run())
        with self._notifier.subscribe(QUEUE) as queue:
            while not self._stopping.is_set():
                await self._claim()
                await queue.changed(IDLE_POLL_SECONDS)
        await asyncio.gather(*self._running.values(), *self._preparing.values(), leftovers, releases)
        self._preparation.close()
        await self._leases.in_thread(self._executor.close)
        self._leases.close()

    def stop(self) -> None:
        """Claim nothing more. Workers save a checkpoint at their step boundary and end; their jobs go back to the queue."""
        self._stopping.set()
        self._retention.stop()
        self._notifier.notify(QUEUE, *map(requests_of, self._running))

    async def _claim(self) -> None:
        """Claim as many jobs as there is room for."""
        lease_seconds = self._policy.lease_seconds
        try:
            for expired in await self._leases.in_thread(self._repository.expire):
                self._metrics.ended(expired)
                self._notifier.notify(expired.job_id, requests_of(expired.job_id))
            while free := self._pool.free():
                claim_device = self._repository.claim_device
                job = await self._leases.in_thread(
                    claim_device, self._id, self._active(), free, self._pool.all, lease_seconds
                )
                if job is None:
                    break
                self._pool.take(job.devices)
                self._start(self._running, job, self._run_attempt(job))
            await self._claim_hosted()
            if not self._preparing:
                claim_preparation = self._repository.claim_preparation
                job = await self._leases.in_thread(claim_preparation, self._id, self._active(), lease_seconds)
                if job is not None:
                    self._start(self._preparing, job, self._preparation.run(job))
        except UnavailableError as error:
            if not self._database_is_away:
                log.warning("%s; trying again every %.0f s", error, IDLE_POLL_SECONDS)
            self._database_is_away = True
        else:
            self._database_is_away = False

    async def _claim_hosted(self) -> None:
        """Hosted jobs take no device; they have slots of their own."""
        while self._providers and self._hosted < self._policy.hosted_jobs:
            claim, lease_seconds = self._repository.claim_hosted, self._policy.lease_seconds
            job = await self._leases.in_thread(claim, self._id, self._active(), self._providers, lease_seconds)
            if job is None:
                return
            self._hosted += 1
            self._start(self._running, job, self._run_hosted(job))

    async def _run_hosted(self, job: Job) -> None:
        try:
            await self._run_attempt(job)
        finally:
            self._hosted -= 1

    def _active(self) -> tuple[str, ...]:
        return (*self._running, *self._preparing)

    def _start(self, tasks: dict[str, asyncio.Task[None]], job: Job, work: Coroutine[Any, Any, None]) -> None:
        self._notifier.notify(job.job_id)

        def forget(_task: asyncio.Task[None]) -> None:
            del tasks[job.job_id]
            self._notifier.notify(QUEUE)

        tasks[job.job_id] = asyncio.create_task(self._guarded(job, work))
        tasks[job.job_id].add_done_callback(forget)

    async def _run_attempt(self, job: Job) -> None:
        devices = job.devices
        try:
            job = await self._runner.run(job)
        finally:
            self._pool.release(devices)
            self._notifier.notify(QUEUE)
        if job.state.ended:
            self._releases.job_ended()
            await self._leases.in_thread(self._retention.apply, job)

    async def _guarded(self, job: Job, work: Coroutine[Any, Any, None]) -> None:
        """One job's failure must not end the engine: it is a strike against the job, and others go on."""
        with within(job.traceparent), logs.fields(job_id=job.job_id):
            try:
                await work
            except LeaseLost as lost:
                log.warning("%s", lost)
            except Exception as error:
                log.exception("%s failed in the engine", job.job_id)
                await self._fail(job, error)

    async def _fail(self, job: Job, error: Exception) -> None:
        defect = InternalError(f"the trainer failed over this job: {error!r}", job_id=job.job_id)
        try:
            job = await self._leases.renew(job)
            await self._leases.carry_out(job, after_failure(job, defect, self._policy, strikes=1))
        except LeaseLost as lost:
            log.warning("%s", lost)
        except Exception:
            log.exception("%s is taken up again", job.job_id)
            await asyncio.sleep(self._policy.retry_delay_seconds)
