"""One job's preparation: preflight and estimate in a thread, their outcome into the queue. Called by engine.py."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Literal

from burnish.errors import BurnishError, InternalError, PreconditionError, UnavailableError
from burnish.schemas.tuning import Finding
from burnish.telemetry.tracing import Tracing
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.preflight.types import Planner, Preview
from burnish_trainer.queue.jobs import Job, State
from burnish_trainer.queue.repository import LeaseLost
from burnish_trainer.scheduler.lease import Desk
from burnish_trainer.scheduler.policy import EnginePolicy

log = logging.getLogger(__name__)

NAMED_QUESTIONS = 5


class Preparing:
    """Prepares one job at a time. all_devices: how many a job could have here."""

    def __init__(
        self,
        desk: Desk,
        planner: Planner,
        policy: EnginePolicy,
        all_devices: int,
        stopping: asyncio.Event,
        metrics: TrainerMetrics,
        tracing: Tracing,
    ) -> None:
        self._desk = desk
        self._planner = planner
        self._policy = policy
        self._all_devices = all_devices
        self._stopping = stopping
        self._metrics = metrics
        self._tracing = tracing
        self._thread = ThreadPoolExecutor(1, "preparation")

    async def prepare(self, job: Job) -> None:
        """From PREPARING to PENDING, or FAILED. LeaseLost where it was paused, cancelled or taken meanwhile."""
        if job.spec.device_count > self._all_devices:
            await self._desk.write(self._desk.repository.end, job, State.FAILED, self._too_many_devices(job))
            return
        with self._tracing.span("prepare", job_id=job.job_id, method=job.spec.method):
            preview, started = self._begin(job), time.perf_counter()
            try:
                await self._hold(job, preview)
            finally:
                self._metrics.prepared(_result(preview), time.perf_counter() - started)
        if not preview.done():
            preview.add_done_callback(_forget)
            message = "the trainer stopped; the job is queued again"
            await self._desk.write(self._desk.repository.give_back, job, message=message)
            return
        try:
            found = preview.result()
        except UnavailableError as error:
            await self._put_off(job, error, strikes=0)
        except BurnishError as error:
            await self._desk.write(self._desk.repository.end, job, State.FAILED, error)
        except Exception as error:
            log.exception("preflight of %s failed", job.job_id)
            await self._put_off(job, InternalError(f"preflight failed: {error!r}", job_id=job.job_id), strikes=1)
        else:
            await self._desk.write(self._desk.repository.prepared, job, found, refusal(found.findings))

    def _begin(self, job: Job) -> asyncio.Future[Preview]:
        work = partial(copy_context().run, self._planner.preview, job.spec, job.deadline)
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Without waiting for a preview under way: it ends once its process has."""
        self._thread.shutdown(wait=False)

    async def _hold(self, job: Job, preview: asyncio.Future[Preview]) -> None:
        """Keep the job until the preview is there or the engine stops; where it was lost, until the thread is free again."""
        stopped = asyncio.create_task(self._stopping.wait())
        waited: set[asyncio.Future[Any]] = {preview, stopped}
        try:
            while not (preview.done() or stopped.done()):
                await asyncio.wait(waited, timeout=self._policy.lease_seconds / 4, return_when=asyncio.FIRST_COMPLETED)
                if not (preview.done() or stopped.done()):
                    await self._desk.renew(job)
        except (LeaseLost, UnavailableError):
            preview.add_done_callback(_forget)
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            raise
        finally:
            stopped.cancel()

    async def _put_off(self, job: Job, error: BurnishError, strikes: int) -> None:
        """Try again later, so that other jobs are prepared meanwhile; in the end it has failed."""
        failures = job.failures + 1
        if self._policy.exhausted(0, job.strikes + strikes, failures):
            await self._desk.write(self._desk.repository.end, job, State.FAILED, error)
            return
        delay = self._policy.retry_after_seconds(failures)
        await self._desk.write(
            self._desk.repository.give_back,
            job,
            message=f"preflight could not be run, again in {delay:.3g} s: {error.message}",
            delay_seconds=delay,
            error=error,
            strikes=strikes,
            failures=1,
        )
        self._desk.claimable_in(delay)

    def _too_many_devices(self, job: Job) -> BurnishError:
        return PreconditionError(
            f"device_count: {job.spec.device_count} are asked for and this trainer has {self._all_devices}: ask for fewer",
            field="device_count",
        )


def _result(preview: asyncio.Future[Preview]) -> Literal["passed", "refused", "failed", "interrupted"]:
    """As metrics tell it. interrupted: the engine stopped, or lost the job, before it was done."""
    if not preview.done():
        return "interrupted"
    if preview.exception() is not None:
        return "failed"
    return "refused" if preview.result().refused else "passed"


def refusal(findings: Sequence[Finding]) -> BurnishError | None:
    """Preflight's refusals as the error that the job fails with; None where it refuses nothing."""
    refused = [finding for finding in findings if finding.severity == "refusal"]
    if not refused:
        return None
    told = "; ".join(f"{finding.code}: {finding.message}{_rows(finding)}" for finding in refused)
    return PreconditionError(f"preflight refuses this job: {told}", codes=",".join(finding.code for finding in refused))


def _rows(finding: Finding) -> str:
    """The first rows concerned, where the message does not name them itself."""
    named = [question for question in finding.question_ids[:NAMED_QUESTIONS] if question not in finding.message]
    if not named:
        return ""
    rest = finding.count - len(named)
    return f" (rows {', '.join(named)}{f' and {rest} more' if rest > 0 else ''})"


def _forget(preview: asyncio.Future[Preview]) -> None:
    """Nobody waits for it any more; its error, if any, has been overtaken."""
    with suppress(BaseException):
        preview.exception()
