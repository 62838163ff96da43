"""The engine: claims queued jobs, starts one worker process for each, and takes their events into the queue.

Runs inside the process that answers RPCs, as one task, and never imports torch. Everything it must remember is in the
queue, so it may be killed at any moment: the next engine drains the events that were left and starts the job again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from pydantic import ValidationError

from burnish.errors import BurnishError, CorruptDataError, InternalError, UnavailableError, from_dict
from burnish.ports import ObjectStore
from burnish_trainer import checkpoints, events
from burnish_trainer.executors import Executor, Worker
from burnish_trainer.jobs import Job, State
from burnish_trainer.news import QUEUE, News, Subscription
from burnish_trainer.policy import EnginePolicy
from burnish_trainer.repository import JobRepository, LeaseLost

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

IDLE_POLL_SECONDS = 1.0  # for jobs that came in through another process; those of this one are told


class Engine:
    """engine_id: stable over restarts on one work directory, so that a restarted engine takes its own jobs up at once."""

    def __init__(
        self,
        engine_id: str,
        repository: JobRepository,
        executor: Executor,
        store: ObjectStore,
        news: News,
        policy: EnginePolicy,
    ) -> None:
        self._id = engine_id
        self._repository = repository
        self._executor = executor
        self._store = store
        self._news = news
        self._policy = policy
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._threads = ThreadPoolExecutor(
            policy.workers + 2, "engine"
        )  # its own: callers' waiting must not hold it up

    async def run(self) -> None:
        """Claim and drive jobs until `stop`; then return once every worker has ended."""
        await self._call(self._sweep)
        with self._news.subscribe(QUEUE) as queue:
            while not self._stopping.is_set():
                await self._claim_free_slots()
                await queue.changed(IDLE_POLL_SECONDS)
        await asyncio.gather(*self._running.values())
        self._threads.shutdown()

    def stop(self) -> None:
        """Claim nothing more; workers save a checkpoint at their step boundary and end; their jobs go back to the queue."""
        self._stopping.set()
        self._news.tell(QUEUE)

    async def _claim_free_slots(self) -> None:
        while len(self._running) < self._policy.workers:
            try:
                job = await self._call(
                    self._repository.claim, self._id, tuple(self._running), self._policy.lease_seconds
                )
            except Exception:
                log.exception("the queue does not answer; asking again")
                return
            if job is None:
                return
            self._news.tell(job.job_id)
            task = asyncio.create_task(self._drive_guarded(job))
            self._running[job.job_id] = task
            task.add_done_callback(partial(self._forget, job.job_id))

    def _forget(self, job_id: str, _task: asyncio.Task[None]) -> None:
        del self._running[job_id]
        self._news.tell(QUEUE)

    async def _drive_guarded(self, job: Job) -> None:
        """One job's failure must not end the engine: the job stays claimable once its lease has run out."""
        try:
            await self._drive(job)
        except LeaseLost as lost:
            log.warning("%s", lost, extra={"job_id": job.job_id})
        except Exception:
            log.exception("driving %s failed; it is taken up again", job.job_id, extra={"job_id": job.job_id})
            await asyncio.sleep(self._policy.retry_delay_seconds)

    async def _drive(self, job: Job) -> None:
        """From a claimed job to an ended or released one, over as many attempts as it may have."""
        reason = "the trainer ended while it ran"
        job = await self._drain(job)
        while not job.state.ended:
            if job.cancel_requested:
                job = await self._end(job, State.CANCELLED)
            elif self._stopping.is_set():
                job = await self._write(self._repository.release, job, "the trainer stopped; the job is queued again")
                return
            elif job.strikes >= self._policy.max_attempts:
                job = await self._end(job, State.FAILED, _exhausted(job, reason))
            else:
                job = await self._wait_before_retry(job)
                if not (job.cancel_requested or self._stopping.is_set()):
                    job, reason = await self._attempt(await self._write(self._repository.start_attempt, job))
        await self._call(self._clean_up, job)

    async def _attempt(self, job: Job) -> tuple[Job, str]:
        """Run one worker to its end. Returns the job as it then stands, and how the worker ended."""
        try:
            worker = await self._call(self._executor.start, job)
        except OSError as error:
            reason = f"no worker could be started: {error}"
            return await self._write(self._repository.note, job, reason), reason
        log.info("attempt %s started", job.attempts, extra={"job_id": job.job_id, "attempt": job.attempts})
        try:
            job = await self._follow(job, worker)
        finally:
            await self._call(worker.kill)
        reason = f"{worker.exit_status()}: {worker.last_words() or 'it logged nothing'}"
        if not (job.state.ended or job.cancel_requested or self._stopping.is_set()):
            job = await self._write(self._repository.note, job, f"attempt {job.attempts} ended, {reason}")
        return job, reason

    async def _follow(self, job: Job, worker: Worker) -> Job:
        """Take in events until the worker has ended, been killed or told its end."""
        with self._news.subscribe(job.job_id) as subscription:
            return await self._follow_with(subscription, job, worker)

    async def _follow_with(self, subscription: Subscription, job: Job, worker: Worker) -> Job:
        deadline: float | None = None
        renew_at = 0.0
        while True:
            exited = worker.exit_status() is not None  # read before the events: nothing said before the exit is missed
            job = await self._drain(job)
            if exited or job.state.ended:
                return job
            if time.monotonic() >= renew_at:
                job = await self._write(self._repository.renew, job, self._policy.lease_seconds, quiet=True)
                renew_at = time.monotonic() + min(self._policy.lease_seconds / 4, 1.0)
            grace = self._grace(job)
            if grace is not None and deadline is None:
                worker.stop()
                deadline = time.monotonic() + grace
            if deadline is not None and time.monotonic() >= deadline:
                await self._call(worker.kill)
            await subscription.changed(self._policy.poll_seconds)

    def _grace(self, job: Job) -> float | None:
        """Seconds a worker that has to stop may take; None where it may go on."""
        if job.cancel_requested:
            return self._policy.cancel_grace_seconds
        return self._policy.stop_grace_seconds if self._stopping.is_set() else None

    async def _drain(self, job: Job) -> Job:
        """Take in whatever the current attempt has said since the offset."""
        if job.attempts == 0:
            return job
        data = await self._call(self._executor.read_events, job)
        try:
            said, length = events.parse(data)
        except ValidationError:
            log.exception("unreadable event", extra={"job_id": job.job_id})
            return await self._end(job, State.FAILED, CorruptDataError("the worker wrote an event that cannot be read"))
        if not said:
            return job
        return await self._write(self._repository.ingest, job, said, job.event_offset, job.event_offset + length)

    async def _wait_before_retry(self, job: Job) -> Job:
        """Wait as long as the strikes ask for, or until engine or job is told to stop. Returns the job as it then stands."""
        seconds = self._policy.retry_delay_seconds * 2 ** (job.strikes - 1) if job.strikes else 0.0
        over_at = time.monotonic() + seconds
        while time.monotonic() < over_at and not (job.cancel_requested or self._stopping.is_set()):
            await self._pause(min(0.5, over_at - time.monotonic()))
            job = await self._write(self._repository.renew, job, self._policy.lease_seconds, quiet=True)
        return job

    async def _end(self, job: Job, state: State, error: BurnishError | None = None) -> Job:
        log.info("%s: %s", state.value, error or "", extra={"job_id": job.job_id})
        return await self._write(self._repository.end, job, state, error)

    async def _write(self, change: Callable[..., Job], job: Job, *arguments: object, quiet: bool = False) -> Job:
        """Change the job in the queue; a queue that does not answer is asked again for as long as the lease lasts."""
        give_up_at = time.monotonic() + self._policy.lease_seconds
        while True:
            try:
                changed: Job = await self._call(change, job.job_id, self._id, *arguments)
                break
            except UnavailableError:
                if time.monotonic() >= give_up_at:
                    raise
                await asyncio.sleep(self._policy.poll_seconds)
        if not quiet:
            self._news.tell(changed.job_id)
        return changed

    async def _call(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *arguments))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _clean_up(self, job: Job) -> None:
        """Drop what an ended job no longer needs. A failed job keeps its checkpoints for whoever looks into it."""
        if job.state is State.FAILED or self._policy.keep_checkpoints:
            return
        try:
            checkpoints.delete_all(self._store, job.job_id)
        except BurnishError as error:
            log.warning("checkpoints stay until the next start: %s", error, extra={"job_id": job.job_id})
        shutil.rmtree(self._executor.job_folder(job.job_id) / checkpoints.FOLDER, ignore_errors=True)

    def _sweep(self) -> None:
        """Clean up after jobs that ended while nobody could."""
        try:
            left = list(self._store.list_folders("checkpoints/"))
        except BurnishError as error:
            log.warning("the object store does not answer; leftover checkpoints stay: %s", error)
            return
        for job_id in left:
            with contextlib.suppress(BurnishError):
                job = self._repository.get(job_id)
                if job.state.ended:
                    self._clean_up(job)


def _exhausted(job: Job, reason: str) -> BurnishError:
    """The last error that a worker gave, else what is known of its end."""
    if job.error:
        return from_dict(job.error)
    return InternalError(
        f"{job.strikes} attempts ended without a new checkpoint; the last one: {reason}",
        job_id=job.job_id,
        attempts=job.attempts,
    )
