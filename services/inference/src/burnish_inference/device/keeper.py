"""Keeps the device's lease: feeds machine.py what happens, and does what the phase that follows asks for.

Everything runs on one event loop, so between two awaits the state is one. The endpoints call `ask` and `give_back`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from burnish.errors import BurnishError, UnavailableError
from burnish.machine import devices
from burnish.schemas.device import DeviceStatus, LeaseAnswer, LeaseRequest, Sharing
from burnish_inference.device.control import Control
from burnish_inference.device.gate import Gate
from burnish_inference.device.lease_file import LeaseFile
from burnish_inference.device.machine import Ask, Event, GiveBack, Lease, Phase, Report, State, Tick, step

log = logging.getLogger(__name__)

HEADROOM = 1.1  # an estimate errs
AGAIN_SECONDS = 1.0  # what cannot fail is tried again if it does
FAILURES = {Phase.SLEEPING: Report.SLEEP_FAILED, Phase.WAKING: Report.WAKE_FAILED}


@dataclass(frozen=True)
class Sharer:
    """How the device is shared, and what it is. names: as burnish.machine.devices has them. free_bytes: reads what is free of them.

    drain_seconds: requests under way have to end. settle_seconds: the driver may take to count freed memory.
    """

    sharing: Sharing = "separate"
    names: tuple[str, ...] = ()
    drain_seconds: float = 60.0
    settle_seconds: float = 5.0
    free_bytes: Callable[[Sequence[str]], int | None] = devices.free_bytes


class DeviceKeeper:
    """`async with DeviceKeeper(…):` after the engine was started, held if `file` has a lease."""

    def __init__(self, control: Control, gate: Gate, file: LeaseFile, sharer: Sharer) -> None:
        self._control = control
        self._gate = gate
        self._file = file
        self._sharer = sharer
        self._state = State(Phase.STARTING)
        self._granted_at: float | None = None
        self._ended_seconds = 0.0
        self._operation: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._control.watch(lambda is_up: self._feed(Report.UP if is_up else Report.DIED))
        if self._sharer.sharing == "sleep" and (stored := self._file.read()) is not None:
            holder, size_bytes, seconds = stored
            log.warning("job %s has the device for another %.0f s at most: vLLM is started after that", holder, seconds)
            self._set(State(Phase.STOPPED, Lease(holder, size_bytes, time.monotonic() + seconds)))
        else:
            self._control.start()
            if self._control.is_up:
                self._feed(Report.UP)
        return self

    async def __aexit__(self, *_: object) -> None:
        """The lease stays on disk: the job goes on without this service."""
        self._control.watch(lambda is_up: None)
        if self._expiry is not None:
            self._expiry.cancel()
        if self._operation is not None:
            self._operation.cancel()
            await asyncio.gather(self._operation, return_exceptions=True)

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_lent(self) -> bool:
        """Whether a job may use the device now."""
        return self._state.is_granted

    @property
    def lent_seconds(self) -> float:
        """For how long jobs have had the device in all."""
        return self._ended_seconds + (self._held_seconds or 0.0)

    async def status(self) -> DeviceStatus:
        free = await asyncio.to_thread(self._sharer.free_bytes, self._sharer.names)
        self._tick()
        lease = self._state.lease
        return DeviceStatus(
            sharing=self._sharer.sharing,
            devices=list(self._sharer.names),
            phase=self._state.phase.value,
            holder=lease.holder if lease else None,
            is_granted=self._state.is_granted,
            held_seconds=self._held_seconds,
            expires_seconds=lease.expires_at - time.monotonic() if lease else None,
            free_bytes=free,
        )

    async def ask(self, request: LeaseRequest) -> LeaseAnswer:
        """The first ask of a job, and each renewal. UnavailableError if the lease cannot be written to disk."""
        is_concerned = self._sharer.sharing == "sleep" and set(request.devices) & set(self._sharer.names)
        status = await self.status()
        fits = self._state == State(Phase.SERVING) and is_enough(status.free_bytes, request.size_bytes)
        if not is_concerned or fits:
            return LeaseAnswer(needed=False, granted=False, device=status)
        expires_at = time.monotonic() + request.ttl_seconds
        self._feed(Ask(Lease(request.holder, request.size_bytes, expires_at)))
        lease = self._state.lease
        granted = self._state.is_granted and lease is not None and lease.holder == request.holder
        return LeaseAnswer(needed=True, granted=granted, device=await self.status())

    async def give_back(self, holder: str) -> DeviceStatus:
        """Safe to repeat, and for a job that holds nothing."""
        self._feed(GiveBack(holder))
        return await self.status()

    @property
    def _held_seconds(self) -> float | None:
        return None if self._granted_at is None else time.monotonic() - self._granted_at

    def _tick(self) -> None:
        self._feed(Tick(time.monotonic()))

    def _feed(self, event: Event) -> None:
        after = step(self._state, event)
        if after != self._state:
            if isinstance(event, Tick) and self._state.lease is not None:
                log.warning("job %s has not renewed its lease of the device: it has ended", self._state.lease.holder)
            self._set(after)

    def _set(self, after: State) -> None:
        """Write the lease down, then adopt the state, then begin what its phase asks for."""
        before = self._state
        if after.lease != before.lease:
            self._write(after.lease)
        self._state = after
        if after.phase is Phase.SERVING:
            self._gate.open()
        elif after.lease is not None:
            self._gate.close(after.lease.holder)
        self._count(after)
        if after.phase is not before.phase:
            log.info("device: %s, %s", after.phase.value, f"job {after.lease.holder}" if after.lease else "no job")
            self._begin(after.phase)

    def _write(self, lease: Lease | None) -> None:
        try:
            if lease is None:
                self._file.remove()
            else:
                self._file.write(lease.holder, lease.size_bytes, lease.expires_at - time.monotonic())
        except OSError as error:
            if lease is not None:
                raise UnavailableError(f"the lease cannot be written to the service's cache folder: {error}") from error
            log.warning("the ended lease stays on disk until it expires: %s", error)
        if self._expiry is not None:
            self._expiry.cancel()
        if lease is not None:
            seconds = max(0.0, lease.expires_at - time.monotonic()) + 0.01
            self._expiry = asyncio.get_running_loop().call_later(seconds, self._tick)

    def _count(self, after: State) -> None:
        if after.is_granted and self._granted_at is None:
            self._granted_at = time.monotonic()
        elif not after.is_granted and self._held_seconds is not None:
            self._ended_seconds += self._held_seconds
            self._granted_at = None

    def _begin(self, phase: Phase) -> None:
        if self._operation is not None:
            self._operation.cancel()
            self._operation = None
        match phase:
            case Phase.STARTING:
                self._control.start()
            case Phase.DRAINING | Phase.SLEEPING | Phase.STOPPING | Phase.WAKING:
                self._operation = asyncio.create_task(self._operate(phase), name=f"device {phase.value}")

    async def _operate(self, phase: Phase) -> None:
        report: Report | None = None
        while report is None:
            try:
                report = await self._carry_out(phase)
            except Exception as error:
                is_ours = isinstance(error, BurnishError)
                log.error("device, %s: %s", phase.value, error, exc_info=not is_ours)
                if (report := FAILURES.get(phase)) is None:
                    await asyncio.sleep(AGAIN_SECONDS)
        self._operation = None  # it has ended, and what follows must not cancel it
        self._feed(report)

    async def _carry_out(self, phase: Phase) -> Report:
        match phase:
            case Phase.DRAINING:
                is_empty = await self._gate.is_empty(self._sharer.drain_seconds)
                return Report.DRAINED if is_empty else Report.OVERDUE
            case Phase.SLEEPING:
                return await self._sleep()
            case Phase.WAKING:
                await self._control.wake()
                return Report.WOKEN
            case _:
                await self._control.stop()
                return Report.ENDED

    async def _sleep(self) -> Report:
        """SLEPT only if the job's bytes are free then, whatever the engine says."""
        await self._control.sleep()
        until = time.monotonic() + self._sharer.settle_seconds
        while (lease := self._state.lease) is not None:
            free = await asyncio.to_thread(self._sharer.free_bytes, self._sharer.names)
            if is_enough(free, lease.size_bytes):
                break
            if lease.size_bytes is None or time.monotonic() > until:
                log.warning(
                    "asleep, vLLM leaves %s bytes free, and job %s needs %s", free, lease.holder, lease.size_bytes
                )
                return Report.SLEEP_FAILED
            await asyncio.sleep(0.2)
        return Report.SLEPT


def is_enough(free_bytes: int | None, size_bytes: int | None) -> bool:
    """Whether so much is free, with room for an estimate's error. Not if either is unknown."""
    return free_bytes is not None and size_bytes is not None and free_bytes >= size_bytes * HEADROOM
