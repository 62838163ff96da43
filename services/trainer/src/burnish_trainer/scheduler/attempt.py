"""Drives one job on its devices: from a claim to its end, its next turn in the line, or a pause. Called by engine.py."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from burnish.errors import BurnishError, Code, CorruptDataError, InternalError, from_dict
from burnish.telemetry.tracing import Tracing, traceparent
from burnish_trainer.executors import Executor, Worker, events
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.queue.jobs import Job, State
from burnish_trainer.queue.notifier import Subscription
from burnish_trainer.queue.repository import deadline_error
from burnish_trainer.scheduler.lease import Desk
from burnish_trainer.scheduler.policy import EnginePolicy

log = logging.getLogger(__name__)

STOPPED = "the trainer stopped; the job is queued again"
ABANDONED = "the trainer ended while it ran"
RENEW_SECONDS = 1.0  # how late a request from another trainer on the same database is seen


@dataclass(frozen=True)
class Ended:
    """How an attempt's worker ended. asked: it had been asked to stop, so that the attempt does not count."""

    reason: str
    asked: bool = False


class Driver:
    """Drives jobs, any number side by side."""

    def __init__(
        self,
        desk: Desk,
        executor: Executor,
        policy: EnginePolicy,
        stopping: asyncio.Event,
        metrics: TrainerMetrics,
        tracing: Tracing,
    ) -> None:
        self._desk = desk
        self._executor = executor
        self._policy = policy
        self._stopping = stopping
        self._metrics = metrics
        self._tracing = tracing

    async def drive(self, job: Job) -> Job:
        """One attempt at a job just claimed. Returns it as it then stands: ended, queued again or paused."""
        claimed_at = time.monotonic()
        job = await self._drain(job)  # what an engine that is gone has not read
        job = await self._settle(job, None)
        if job.state is not State.RUNNING:
            return job
        overhead = time.monotonic() - claimed_at
        job = await self._desk.write(self._desk.repository.start_attempt, job, overhead)
        self._metrics.attempt(job)
        with self._tracing.span("attempt", job_id=job.job_id, attempt=job.attempts, method=job.spec.method) as span:
            job, ended = await self._attempt(job)
            span.set_attribute("state", job.state.value)
            if job.state is State.RUNNING:
                span.set_attribute("ended", ended.reason)
        job = await self._settle(job, ended)
        return await self._retry(job, _outage(job), 0) if job.state is State.RUNNING else job

    async def fail(self, job: Job, error: Exception) -> None:
        """The engine itself failed over a job: that is a strike, lest it be taken up for ever."""
        job = await self._desk.renew(job)
        said = InternalError(f"the trainer failed over this job: {error!r}", job_id=job.job_id)
        if self._policy.exhausted(job.attempts, job.strikes + 1, job.failures + 1):
            await self._end(job, State.FAILED, said)
        else:
            await self._retry(job, strikes=1, failures=1, error=said)

    async def _settle(self, job: Job, ended: Ended | None) -> Job:
        """Do what stands against (another) attempt; RUNNING where nothing does. ended: the attempt just made, None before it."""
        if job.state is not State.RUNNING:
            return job
        if job.cancel_requested:
            return await self._end(job, State.CANCELLED)
        if job.deadline is not None and _late(job):
            return await self._end(job, State.FAILED, deadline_error(job.job_id, job.deadline))
        if job.pause_requested:
            return await self._give_back(job, ended, State.PAUSED)
        if self._stopping.is_set():
            return await self._give_back(job, ended, State.PENDING, STOPPED)
        if ended and ended.asked:  # to pause, and resumed before it had stopped
            return await self._give_back(job, ended, State.PENDING)
        if self._policy.exhausted(job.attempts, job.strikes + (_outage(job) if ended else 0), job.failures):
            return await self._end(job, State.FAILED, _exhausted(job, ended.reason if ended else ABANDONED))
        return job

    async def _attempt(self, job: Job) -> tuple[Job, Ended]:
        """Run one worker to its end."""
        try:
            traced = job.model_copy(update={"traceparent": traceparent()})
            worker = await self._desk.call(self._executor.start, traced, job.devices)
        except OSError as error:
            reason = f"no worker could be started: {error}"
            return await self._desk.write(self._desk.repository.note, job, reason), Ended(reason)
        log.info(
            "attempt %s started on %s",
            job.attempts,
            ", ".join(job.devices),
            extra={"attempt": job.attempts},
        )
        following = Following(worker, self._policy)
        try:
            with self._desk.news.subscribe(job.job_id) as subscription:
                job = await self._follow(subscription, job, worker, following)
        finally:
            await self._desk.call(worker.kill)
        reason = following.reason or f"{worker.exit_status()}: {worker.last_words() or 'it logged nothing'}"
        if job.state is State.RUNNING and not following.asked:
            job = await self._desk.write(self._desk.repository.note, job, f"attempt {job.attempts} ended, {reason}")
        return job, Ended(reason, following.asked)

    async def _follow(self, subscription: Subscription, job: Job, worker: Worker, following: Following) -> Job:
        """Take in events until the worker has ended, been killed or told its end."""
        renew_at = 0.0
        while True:
            exited = worker.exit_status() is not None  # read before the events: nothing said before the exit is missed
            job = await self._drain(job)
            if exited or job.state.ended:
                return job
            if time.monotonic() >= renew_at:
                job = await self._desk.renew(job)
                renew_at = time.monotonic() + min(self._policy.lease_seconds / 4, RENEW_SECONDS)
            if following.must_die(job, self._stopping.is_set()):
                await self._desk.call(worker.kill)
            await subscription.changed(self._policy.poll_seconds)

    async def _drain(self, job: Job) -> Job:
        """Take in whatever the current attempt has said since the offset."""
        if job.attempts == 0:
            return job
        data = await self._desk.call(self._executor.read_events, job)
        try:
            said, length = events.parse(data)
        except ValidationError:
            log.exception("unreadable event")
            return await self._end(job, State.FAILED, CorruptDataError("the worker wrote an event that cannot be read"))
        if not said:
            return job
        offsets = (job.event_offset, job.event_offset + length)
        job = await self._desk.write(self._desk.repository.ingest, job, said, *offsets)
        self._metrics.said(job, said)
        return job

    async def _give_back(self, job: Job, ended: Ended | None, state: State, message: str = "") -> Job:
        """Out of its devices in order: an attempt that was made does not count."""
        forgiven = -1 if ended else 0
        return await self._desk.write(
            self._desk.repository.give_back, job, state, message=message, strikes=forgiven, failures=forgiven
        )

    async def _retry(self, job: Job, strikes: int, failures: int, error: BurnishError | None = None) -> Job:
        """Back into the line after a back-off that grows with its failures; others have the device meanwhile."""
        delay = self._policy.retry_after_seconds(job.failures + failures)
        job = await self._desk.write(
            self._desk.repository.give_back,
            job,
            message=error.message if error else "",
            delay_seconds=delay,
            error=error,
            strikes=strikes,
            failures=failures,
        )
        self._desk.claimable_in(delay)
        return job

    async def _end(self, job: Job, state: State, error: BurnishError | None = None) -> Job:
        log.info("%s: %s", state.value, error or "")
        return await self._desk.write(self._desk.repository.end, job, state, error)


class Following:
    """Decides when a running worker is asked to stop, and when it is killed.

    asked: it was asked to stop; reason: why it was killed where it would not have ended by itself; empty otherwise.
    """

    def __init__(self, worker: Worker, policy: EnginePolicy) -> None:
        self._worker = worker
        self._policy = policy
        self._kill_at = math.inf
        self.asked = False
        self.reason = ""

    def must_die(self, job: Job, stopping: bool) -> bool:
        """Ask the worker to stop where it has to; True once its time is over, or where it has shown no life for too long."""
        grace = self._grace_seconds(job, stopping)
        if grace is not None:
            if not self.asked:
                self._worker.stop()
            self.asked = True
            self._kill_at = min(self._kill_at, time.monotonic() + grace)
        if time.monotonic() >= self._kill_at:
            return True
        silent = self._worker.heartbeat_age()
        if silent is not None and silent > self._policy.heartbeat_timeout_seconds:
            self.reason = f"it showed no life for {silent:.0f} s and was killed"
            return True
        return False

    def _grace_seconds(self, job: Job, stopping: bool) -> float | None:
        """What a worker that has to stop may take; None where it may go on."""
        if job.cancel_requested:
            return self._policy.cancel_grace_seconds
        if stopping or job.pause_requested or _late(job):
            return self._policy.stop_grace_seconds
        return None


def _late(job: Job) -> bool:
    return job.deadline is not None and job.deadline <= datetime.now(UTC)


def _outage(job: Job) -> int:
    """What to add to the strikes of a failed attempt: one that met an outage is not held against the job."""
    return -1 if job.error and job.error["code"] == Code.UNAVAILABLE.name else 0


def _exhausted(job: Job, reason: str) -> BurnishError:
    """The last error that a worker gave, else what is known of its end."""
    if job.error:
        return from_dict(job.error)
    return InternalError(
        f"{job.strikes} attempts ended without a new checkpoint, {job.attempts} in all; the last one: {reason}",
        job_id=job.job_id,
        attempts=job.attempts,
    )
