"""One job's preparation: preflight and estimate in a thread, their outcome into the queue. Called by engine.py."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Literal

from burnish.errors import BurnishError, InternalError, PreconditionError, ResourceExhaustedError, UnavailableError
from burnish.schemas.training.job_state import JobState
from burnish.schemas.training.tuning import Finding
from burnish.telemetry.tracing import Tracing
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.preflight.types import Planner, Preview
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import requests_of
from burnish_trainer.scheduler.lease import Leases
from burnish_trainer.scheduler.policy import STOPPED, End, Policy, Requeue, after_failure

log = logging.getLogger(__name__)

NAMED_QUESTIONS = 5


class Preparation:
    """Prepares one job at a time. all_devices: how many one job could have here."""

    def __init__(
        self,
        leases: Leases,
        planner: Planner,
        policy: Policy,
        all_devices: int,
        stopping: asyncio.Event,
        metrics: TrainerMetrics,
        tracing: Tracing,
    ) -> None:
        self._leases = leases
        self._planner = planner
        self._policy = policy
        self._all_devices = all_devices
        self._stopping = stopping
        self._metrics = metrics
        self._tracing = tracing
        self._thread = ThreadPoolExecutor(1, "preparation")

    async def run(self, job: Job) -> None:
        """From PREPARING to PENDING, or FAILED. LeaseLost if it was paused, cancelled or claimed by another meanwhile."""
        if job.spec.hosted is None and job.spec.device_count > self._all_devices:
            error = PreconditionError(
                f"device_count: {job.spec.device_count} are wanted and this trainer has {self._all_devices}: set fewer",
                field="device_count",
            )
            await self._leases.carry_out(job, End(JobState.FAILED, error))
            return
        with self._tracing.span("prepare", job_id=job.job_id, method=job.spec.method):
            started = time.perf_counter()
            given_up = threading.Event()
            work = partial(copy_context().run, self._planner.preview, job.spec, job.deadline, given_up)
            preview = asyncio.get_running_loop().run_in_executor(self._thread, work)
            try:
                await self._hold(job, preview)
            finally:
                given_up.set()
                self._metrics.prepared(_result(preview), time.perf_counter() - started)
                if not preview.done():
                    preview.add_done_callback(_ignore_error)
        outcome = self._outcome(job, preview)
        if isinstance(outcome, Preview):
            await self._leases.write(self._leases.repository.prepared, job, outcome, refusal(outcome.findings))
        else:
            await self._leases.carry_out(job, outcome)

    def close(self) -> None:
        """Without waiting for a preview under way: it ends once its process has."""
        self._thread.shutdown(wait=False)

    def _outcome(self, job: Job, preview: asyncio.Future[Preview]) -> Preview | Requeue | End:
        if not preview.done():  # the engine stops
            return Requeue(message=STOPPED)
        try:
            return preview.result()
        except (UnavailableError, ResourceExhaustedError) as error:
            strikes = int(isinstance(error, ResourceExhaustedError))  # the job's own doing
            return after_failure(job, error, self._policy, strikes, what="preflight could not be run")
        except BurnishError as error:
            return End(JobState.FAILED, error)
        except Exception as error:
            log.exception("preflight of %s failed", job.job_id)
            defect = InternalError(f"preflight failed: {error!r}", job_id=job.job_id)
            return after_failure(job, defect, self._policy, strikes=1, what="preflight could not be run")

    async def _hold(self, job: Job, preview: asyncio.Future[Preview]) -> None:
        """Keep the job until the preview is there or the engine stops. LeaseLost as soon as callers have cancelled or paused it."""
        stopped = asyncio.create_task(self._stopping.wait())
        with self._leases.notifier.subscribe(requests_of(job.job_id)) as requests:
            try:
                while not (preview.done() or stopped.done()):
                    asked = asyncio.create_task(requests.changed(self._policy.lease_seconds / 4))
                    waited: set[asyncio.Future[Any]] = {preview, stopped, asked}
                    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                    if asked.done():
                        await self._leases.renew(job)
                    asked.cancel()
            finally:
                stopped.cancel()


def _result(preview: asyncio.Future[Preview]) -> Literal["passed", "refused", "failed", "interrupted"]:
    """A label of the metrics. interrupted: the engine stopped, or lost the job, before the preview was done."""
    if not preview.done():
        return "interrupted"
    if preview.exception() is not None:
        return "failed"
    return "refused" if preview.result().refused else "passed"


def refusal(findings: Sequence[Finding]) -> BurnishError | None:
    """Preflight's refusals as the error that the job fails with; None if it refuses nothing."""
    refused = [finding for finding in findings if finding.severity == "refusal"]
    if not refused:
        return None
    text = "; ".join(f"{finding.code}: {finding.message}{_rows(finding)}" for finding in refused)
    return PreconditionError(f"preflight refuses this job: {text}", codes=",".join(finding.code for finding in refused))


def _rows(finding: Finding) -> str:
    """The first rows concerned, if the message does not name them itself."""
    named = [question for question in finding.question_ids[:NAMED_QUESTIONS] if question not in finding.message]
    if not named:
        return ""
    rest = finding.count - len(named)
    return f" (rows {', '.join(named)}{f' and {rest} more' if rest > 0 else ''})"


def _ignore_error(preview: asyncio.Future[Preview]) -> None:
    """Nobody waits for it any more, so asyncio must not complain of an error that nobody reads."""
    with suppress(BaseException):
        preview.exception()
