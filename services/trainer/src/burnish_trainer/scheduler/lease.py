"""The queue as the engine uses it: calls in threads of its own, patient with a database that does not answer for a while."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from burnish.errors import UnavailableError
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import QUEUE, News
from burnish_trainer.queue.repository import JobRepository

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Desk:
    """One engine's view of the queue. patience_seconds: its lease; what could not be written by then is no longer its own."""

    def __init__(
        self,
        engine_id: str,
        repository: JobRepository,
        news: News,
        patience_seconds: float,
        retry_seconds: float,
        threads: int,
        metrics: TrainerMetrics,
    ) -> None:
        self.engine_id = engine_id
        self.repository = repository
        self.news = news
        self._patience_seconds = patience_seconds
        self._retry_seconds = retry_seconds
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(threads, "engine")  # its own: callers' waiting must not hold it up

    async def call(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        work = partial(copy_context().run, function, *arguments)  # a log line of the thread is the caller's
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def write(self, change: Callable[..., Job], job: Job, *arguments: object, **options: object) -> Job:
        """change(job_id, engine_id, …) on the queue, and tell those who watch the job.

        Raises: UnavailableError where the database has not answered for as long as the lease lasts.
        """
        changed = await self._patiently(partial(change, job.job_id, self.engine_id, *arguments, **options), job)
        self.news.tell(changed.job_id)
        self._metrics.ended(changed)  # no change can be made to a job that has ended before
        return changed

    async def renew(self, job: Job) -> Job:
        """Keep the job, and see what was asked of it meanwhile."""
        renew = partial(self.repository.renew, job.job_id, self.engine_id, self._patience_seconds)
        return await self._patiently(renew, job)

    async def _patiently(self, change: Callable[[], Job], job: Job) -> Job:
        give_up_at = time.monotonic() + self._patience_seconds
        said = False
        while True:
            try:
                return await self.call(change)
            except UnavailableError as error:
                if time.monotonic() >= give_up_at:
                    raise
                if not said:
                    log.warning(
                        "%s; trying again for %.0f s", error, self._patience_seconds, extra={"job_id": job.job_id}
                    )
                    said = True
                await asyncio.sleep(self._retry_seconds)

    def claimable_in(self, seconds: float) -> None:
        """Wake the engine once a job's back-off is over."""
        asyncio.get_running_loop().call_later(seconds, self.news.tell, QUEUE)

    def close(self) -> None:
        self._threads.shutdown()
