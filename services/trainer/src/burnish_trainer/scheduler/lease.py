"""One engine's hold on its jobs: every change to a claimed job goes through here.

Calls to the queue run in threads of the engine's own. If the database does not answer they are repeated for as long as the
lease lasts; after that the job is no longer this engine's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_fixed

from burnish.errors import UnavailableError
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import QUEUE, Notifier
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.scheduler.policy import End, Policy, Requeue

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Leases:
    """threads: its own, so that callers of the RPCs do not hold the engine up."""

    def __init__(
        self,
        engine_id: str,
        repository: JobRepository,
        notifier: Notifier,
        policy: Policy,
        threads: int,
        metrics: TrainerMetrics,
    ) -> None:
        self.repository = repository
        self.notifier = notifier
        self._engine_id = engine_id
        self._lease_seconds = policy.lease_seconds
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(threads, "engine")
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(UnavailableError),
            stop=stop_after_delay(policy.lease_seconds),
            wait=wait_fixed(policy.poll_seconds),
            before_sleep=self._log_first_failure,
            reraise=True,
        )

    async def in_thread(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        work = partial(copy_context().run, function, *arguments)  # so that a log line of the thread names the job
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def write(self, change: Callable[..., Job], job: Job, *arguments: object, **options: object) -> Job:
        """change(job_id, engine_id, …) on the queue; then notify those who watch the job.

        Raises: UnavailableError if the database has not answered for as long as the lease lasts.
        """
        changed = await self._patiently(partial(change, job.job_id, self._engine_id, *arguments, **options))
        self.notifier.notify(changed.job_id)
        self._metrics.ended(changed)  # a job that has ended refuses changes, so each end is counted once
        return changed

    async def renew(self, job: Job) -> Job:
        """Keep the job, and read what callers asked of it meanwhile."""
        return await self._patiently(partial(self.repository.renew, job.job_id, self._engine_id, self._lease_seconds))

    async def carry_out(self, job: Job, action: Requeue | End) -> Job:
        if isinstance(action, End):
            log.info("%s: %s", action.state.value, action.error or "")
            return await self.write(self.repository.end, job, action.state, action.error)
        job = await self.write(self.repository.requeue, job, **vars(action))
        if action.delay_seconds:  # wake the engine once the back-off is over
            asyncio.get_running_loop().call_later(action.delay_seconds, self.notifier.notify, QUEUE)
        return job

    def close(self) -> None:
        self._threads.shutdown()

    async def _patiently(self, change: Callable[[], Job]) -> Job:
        changed: Job = await self._retrying.copy()(
            self.in_thread, change
        )  # a copy: one object is not for several tasks
        return changed

    def _log_first_failure(self, attempt: RetryCallState) -> None:
        if attempt.attempt_number == 1 and attempt.outcome is not None:
            log.warning("%s; trying again for %.0f s", attempt.outcome.exception(), self._lease_seconds)
