"""Drives one job on its devices: from a claim to its end, back to the queue, or to a pause. Called by engine.py.

policy.py:next_action decides; this acts on it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import ValidationError

from burnish.errors import CorruptDataError
from burnish.schemas.training.job_state import JobState
from burnish.telemetry.tracing import Tracing, traceparent
from burnish_trainer.executors import Executor, Worker, events
from burnish_trainer.executors.assignment import Attempt
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import requests_of
from burnish_trainer.scheduler.device_lease import DeviceLeases, Hold
from burnish_trainer.scheduler.lease import Leases
from burnish_trainer.scheduler.policy import Action, End, Kill, Policy, Requeue, Start, Stop, WorkerStatus, next_action

log = logging.getLogger(__name__)

DEVICES_LOST = "serving did not renew the lease of the devices: the worker saves and ends, and the job is queued again"


class AttemptRunner:
    """Any number of jobs side by side. stopping: set once the engine is told to stop."""

    def __init__(
        self,
        leases: Leases,
        device_leases: DeviceLeases,
        executor: Executor,
        policy: Policy,
        stopping: asyncio.Event,
        metrics: TrainerMetrics,
        tracing: Tracing,
    ) -> None:
        self._leases = leases
        self._device_leases = device_leases
        self._repository = leases.repository
        self._executor = executor
        self._policy = policy
        self._stopping = stopping
        self._metrics = metrics
        self._tracing = tracing

    async def run(self, job: Job) -> Job:
        """One attempt at a job just claimed. Returns the job as it is then: ended, queued again or paused."""
        claimed_at = time.monotonic()
        job = await self._ingest(job)  # what the worker of an engine that is gone reported, and nobody has read
        action = self._next_action(job, None)
        if isinstance(action, Start):
            overhead_seconds = time.monotonic() - claimed_at
            async with self._device_leases.held(job, self._may_start) as (job, hold):
                action = self._next_action(job, None)
                if isinstance(action, Start):
                    job, action = await self._attempt(job, hold, overhead_seconds)
        return await self._leases.carry_out(job, action) if isinstance(action, Requeue | End) else job

    async def _attempt(self, job: Job, hold: Hold, overhead_seconds: float) -> tuple[Job, Action]:
        """Run one worker to its end; what follows."""
        job = await self._leases.write(self._repository.start_attempt, job, overhead_seconds)
        self._metrics.attempt(job)
        with self._tracing.span("attempt", job_id=job.job_id, attempt=job.attempts, method=job.spec.method) as span:
            job, status = await self._run_worker(job, hold)
            span.set_attribute("state", job.state.value)
            if job.state is JobState.RUNNING:
                span.set_attribute("ended", status.ended or "")
        return job, self._next_action(job, status)

    def _may_start(self, job: Job) -> bool:
        return isinstance(self._next_action(job, None), Start)

    def _next_action(self, job: Job, status: WorkerStatus | None) -> Action:
        return next_action(job, status, datetime.now(UTC), self._policy, self._stopping.is_set())

    async def _run_worker(self, job: Job, hold: Hold) -> tuple[Job, WorkerStatus]:
        """Run one worker to its end."""
        attempt = Attempt(
            job_id=job.job_id,
            attempt=job.attempts,
            spec=job.spec,
            findings=job.findings,
            estimate=job.estimate,
            overhead_seconds=job.overhead_seconds,
            traceparent=traceparent(),
        )
        try:
            worker = await self._leases.in_thread(self._executor.start, attempt, job.devices)
        except OSError as error:
            reason = f"no worker could be started: {error}"
            return await self._leases.write(self._repository.note, job, reason), WorkerStatus(reason)
        where = ", ".join(job.devices) or "its provider"
        log.info("attempt %s started on %s", job.attempts, where, extra={"attempt": job.attempts})
        try:
            job, status = await self._follow(job, worker, hold)
        finally:
            await self._leases.in_thread(worker.kill)
        if status.ended is None:
            ended = f"{worker.exit_status()}: {worker.last_log_line() or 'it logged nothing'}"
            status = replace(status, ended=ended)
        if job.state is JobState.RUNNING and status.seconds_to_kill is None:
            job = await self._leases.write(self._repository.note, job, f"attempt {job.attempts} ended, {status.ended}")
        return job, status

    async def _follow(self, job: Job, worker: Worker, hold: Hold) -> tuple[Job, WorkerStatus]:
        """Write the worker's events until it has reported its end, ended or been killed. The status says why it was killed."""
        renew_at = 0.0
        kill_at: float | None = None
        killed: str | None = None
        with self._leases.notifier.subscribe(requests_of(job.job_id)) as requests:
            while True:
                exited = worker.exit_status() is not None  # read before the events: none from before the exit is missed
                job = await self._ingest(job)
                now = time.monotonic()
                to_kill = None if kill_at is None else kill_at - now
                status = WorkerStatus(None, worker.pulse(), to_kill, hold.seconds_left(now))
                if exited or job.state is not JobState.RUNNING:
                    return job, replace(status, ended=killed)
                if now >= renew_at:
                    job = await self._leases.renew(job)
                    renew_at = now + min(self._policy.lease_seconds / 4, self._policy.renew_seconds)
                match self._next_action(job, status):
                    case Stop(grace_seconds):
                        worker.stop()
                        if kill_at is None and status.seconds_of_devices is not None:
                            job = await self._leases.write(self._repository.note, job, DEVICES_LOST)
                        kill_at = now + grace_seconds
                    case Kill(reason):
                        killed = reason or None
                        await self._leases.in_thread(worker.kill)
                if await requests.changed(self._policy.poll_seconds):
                    renew_at = 0.0

    async def _ingest(self, job: Job) -> Job:
        """Write whatever the current attempt has reported since the offset."""
        if job.attempts == 0:
            return job
        data = await self._leases.in_thread(self._executor.read_events, job.job_id, job.attempts, job.event_offset)
        try:
            reported, size_bytes = events.parse(data)
        except ValidationError:
            log.exception("unreadable event")
            error = CorruptDataError("the worker wrote an event that cannot be read")
            return await self._leases.carry_out(job, End(JobState.FAILED, error))
        if not reported:
            return job
        offsets = (job.event_offset, job.event_offset + size_bytes)
        job = await self._leases.write(self._repository.ingest, job, reported, *offsets)
        self._metrics.reported(job, reported)
        return job
