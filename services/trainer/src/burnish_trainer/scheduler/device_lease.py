"""A job's lease of its devices from serving: asked for before its worker starts, renewed while it runs, given back after it.

Called by attempt.py. The inference service decides whether a lease is needed (ADR 17). So that no worker is on a device that
serving has taken back, a worker whose lease could not be renewed for half its time is stopped before it expires.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from burnish.errors import UnavailableError
from burnish.schemas.device import LeaseAnswer, LeaseRequest
from burnish.schemas.training.tuning import RunEstimate
from burnish_trainer.preflight.estimate import CUDA_CONTEXT_BYTES
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.notifier import requests_of
from burnish_trainer.scheduler.devices import CPU
from burnish_trainer.scheduler.lease import Leases
from burnish_trainer.serving import Serving

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
RENEWALS = 12  # within the time of one lease
GIVE_BACK_ATTEMPTS = 2


@dataclass
class Hold:
    """What a job has of serving. renewed_at: when the last renewal that was granted was sent; None: no lease is needed."""

    ttl_seconds: float
    renewed_at: float | None = None
    is_lost: bool = False

    def seconds_left(self, now: float) -> float | None:
        """Until the worker must have left its devices; None while there is no reason that it should."""
        if self.renewed_at is None:
            return None
        silent = now - self.renewed_at
        if self.is_lost:
            return 0.0
        return None if silent < self.ttl_seconds / 2 else max(0.0, self.ttl_seconds - silent)


class DeviceLeases:
    """serving: None if nobody else has the devices. names: a device as the queue names it -> its name by burnish.machine.devices."""

    def __init__(self, leases: Leases, serving: Serving | None, names: Mapping[str, str], ttl_seconds: float) -> None:
        self._leases = leases
        self._serving = serving
        self._names = names
        self._ttl_seconds = ttl_seconds

    @asynccontextmanager
    async def held(self, job: Job, may_start: Callable[[Job], bool]) -> AsyncIterator[tuple[Job, Hold]]:
        """Wait until the job may use its devices, or until may_start says no; keep them for the block, then give them back."""
        hold = Hold(self._ttl_seconds)
        if self._serving is None or not job.devices:  # a hosted job has none
            yield job, hold
            return
        request = LeaseRequest(
            holder=job.job_id,
            devices=[self._names[device] for device in job.devices],
            size_bytes=needed_bytes(job.estimate, job.devices),
            ttl_seconds=self._ttl_seconds,
        )
        keeping: asyncio.Task[None] | None = None
        try:
            job = await self._wait(self._serving, job, request, hold, may_start)
            if hold.renewed_at is not None:
                keeping = asyncio.create_task(self._keep(self._serving, request, hold), name="device lease")
            yield job, hold
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
            await self._give_back(self._serving, job.job_id)

    async def _wait(
        self, serving: Serving, job: Job, request: LeaseRequest, hold: Hold, may_start: Callable[[Job], bool]
    ) -> Job:
        started, said = time.monotonic(), ""
        with self._leases.notifier.subscribe(requests_of(job.job_id)) as requests:
            while may_start(job):
                sent = time.monotonic()
                try:
                    answer = await self._leases.in_thread(serving.ask, request)
                except UnavailableError as error:
                    why = error.message
                else:
                    if answer.granted:
                        hold.renewed_at = sent
                        waited = time.monotonic() - started
                        text = f"serving has lent {', '.join(job.devices)} after {waited:.1f} s: vLLM is {answer.device.phase}"
                        return await self._leases.write(self._leases.repository.note, job, text)
                    if not answer.needed:
                        return job
                    why = reason(answer, job)
                if why != said:
                    job, said = await self._leases.write(self._leases.repository.note, job, why), why
                await requests.changed(LOOK_SECONDS)
                job = await self._leases.renew(job)
        return job

    async def _keep(self, serving: Serving, request: LeaseRequest, hold: Hold) -> None:
        """Renew without end. What it could not renew, `Hold.seconds_left` knows by the time that has gone by."""
        while True:
            await asyncio.sleep(self._ttl_seconds / RENEWALS)
            sent = time.monotonic()
            try:
                answer = await asyncio.to_thread(serving.ask, request)
            except UnavailableError as error:
                log.warning("the lease of the device is not renewed: %s", error)
                continue
            if answer.granted:
                hold.renewed_at = sent
            else:
                hold.is_lost = True
                log.error("serving has taken the device back: it is %s", answer.device.phase)

    async def _give_back(self, serving: Serving, holder: str) -> None:
        """If it is not heard, the lease expires by itself."""
        for attempt in range(GIVE_BACK_ATTEMPTS):
            try:
                await asyncio.to_thread(serving.give_back, holder)
            except UnavailableError as error:
                log.warning("the device is not given back yet (attempt %d): %s", attempt + 1, error)
            else:
                return


def needed_bytes(estimate: RunEstimate | None, devices: Sequence[str]) -> int | None:
    """Of each device; None if nobody knows. A GPU's driver takes some beside what the job's allocator holds."""
    if estimate is None:
        return None
    return estimate.peak_memory_bytes + (0 if CPU in devices else CUDA_CONTEXT_BYTES)


def reason(answer: LeaseAnswer, job: Job) -> str:
    """Why a job still waits, for people."""
    devices = ", ".join(job.devices)
    device = answer.device
    if device.holder != job.job_id:
        return f"waits for {devices}: job {device.holder} has it from serving"
    return f"waits for {devices}: vLLM is asked to leave it, since the job does not fit beside it"
