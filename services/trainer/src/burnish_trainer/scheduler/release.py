"""Ends what an ended hosted job has left at its provider: a job that runs and costs money, and uploaded rows. Called by engine.py.

However a job ended (cancelled while it waited, past its deadline, out of attempts, its worker killed), it comes by here, until its
release has succeeded. A release is a process of the executor, as an attempt is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from burnish.errors import BurnishError, UnavailableError
from burnish_trainer.executors import Executor, Worker
from burnish_trainer.executors.assignment import Attempt
from burnish_trainer.queue.jobs import Job
from burnish_trainer.scheduler.lease import Leases

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
POLL_SECONDS = 0.1
AT_ONCE = 20
RELEASE_SECONDS = 180.0
RETRY_SECONDS = 10.0  # doubles with each failure
RETRY_SECONDS_AT_MOST = 600.0
DONE = "exit code 0"


@dataclass
class _Failed:
    times: int = 0
    again_at: float = 0.0


class Releases:
    """One at a time at each provider: one that is silent keeps none at another waiting, which may cost money by the hour.

    stopping: set once the engine is told to stop.
    """

    def __init__(self, leases: Leases, executor: Executor, providers: Sequence[str], stopping: asyncio.Event) -> None:
        self._leases = leases
        self._executor = executor
        self._stopping = stopping
        self._ended = {provider: asyncio.Event() for provider in providers}
        self._failed: dict[str, _Failed] = {}

    def job_ended(self) -> None:
        """Look now, and not at the next turn."""
        for ended in self._ended.values():
            ended.set()

    async def run(self) -> None:
        """Until the engine stops."""
        await asyncio.gather(*(self._run_at(provider, ended) for provider, ended in self._ended.items()))

    async def _run_at(self, provider: str, job_ended: asyncio.Event) -> None:
        stopped = asyncio.create_task(self._stopping.wait())
        while not self._stopping.is_set():
            job_ended.clear()
            try:
                for job in await self._due(provider):
                    if not self._stopping.is_set():
                        await self._release(job)
            except UnavailableError as error:
                log.warning("%s; what ended jobs left at providers waits", error)
            ended = asyncio.create_task(job_ended.wait())
            await asyncio.wait({ended, stopped}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
        stopped.cancel()

    async def _due(self, provider: str) -> list[Job]:
        jobs = await self._leases.in_thread(self._leases.repository.unreleased, [provider], AT_ONCE)
        return [job for job in jobs if self._failed.get(job.job_id, _Failed()).again_at <= time.monotonic()]

    async def _release(self, job: Job) -> None:
        try:
            attempt = Attempt(job_id=job.job_id, attempt=0, goal="release", spec=job.spec, traceparent=job.traceparent)
            worker = await self._leases.in_thread(self._executor.start, attempt, ())
            ended = await self._wait(worker)
        except (OSError, BurnishError) as error:
            ended = str(error)
        if ended == DONE:
            self._failed.pop(job.job_id, None)
            await self._leases.in_thread(self._leases.repository.release, job.job_id)
            self._leases.notifier.notify(job.job_id)
        elif not self._stopping.is_set():
            failed = self._failed.setdefault(job.job_id, _Failed())
            delay = min(RETRY_SECONDS * 2.0**failed.times, RETRY_SECONDS_AT_MOST)
            failed.times += 1
            failed.again_at = time.monotonic() + delay
            log.error(
                "%s may still run at its provider, or its rows lie there: %s; again in %.0f s", job.job_id, ended, delay
            )

    async def _wait(self, worker: Worker) -> str:
        """How it ended, with its last words if it failed."""
        give_up_at = time.monotonic() + RELEASE_SECONDS
        try:
            while worker.exit_status() is None and time.monotonic() < give_up_at and not self._stopping.is_set():
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await self._leases.in_thread(worker.kill)
        ended = worker.exit_status() or "it did not end"
        return ended if ended == DONE else f"{ended}: {worker.last_log_line()}"
