"""An engine that follows a script behind the port that the keeper uses, and a service around it that can be killed at any moment."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from burnish.errors import UnavailableError
from burnish.schemas.device import LeaseAnswer, LeaseRequest
from burnish_inference.device.gate import Gate
from burnish_inference.device.keeper import DeviceKeeper, Sharer
from burnish_inference.device.lease_file import LeaseFile
from burnish_inference.device.machine import Phase, State

CARD = "GPU-1"
TOTAL, ENGINE = 24, 20  # of memory, in no unit
JOB = 10


class ScriptedEngine:
    """burnish_inference.device.control.Control. An operation named in `halted` waits; one named in `failing` fails.

    uses_memory: whether it has its part of the card. Like the supervisor, it starts again by itself if it dies.
    """

    def __init__(self, is_held: bool = False) -> None:
        self.halted: set[str] = set()
        self.failing: set[str] = set()
        self.calls: list[str] = []
        self.uses_memory = False
        self.keeps_memory_asleep = False
        self.is_up = False
        self.is_held = is_held
        self._changed: Callable[[bool], None] = lambda is_up: None
        self._run: asyncio.Task[None] | None = None

    def watch(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed

    async def sleep(self) -> None:
        await self._operate("sleep")
        self.uses_memory = self.keeps_memory_asleep

    async def wake(self) -> None:
        self.uses_memory = True
        await self._operate("wake")

    async def stop(self) -> None:
        self.is_held = True
        await self._operate("stop")
        self._end()

    def start(self) -> None:
        self.is_held = False
        if self._run is None:
            self._run = asyncio.create_task(self._start())

    def die(self) -> None:
        """The process ends, and is started again unless it is held."""
        self._end()
        if not self.is_held:
            self.start()

    def kill(self) -> None:
        """With its service: the guard ends it, and nobody starts it."""
        self._changed = lambda is_up: None
        self._end()

    def free(self, names: Sequence[str]) -> int:
        return TOTAL - (ENGINE if self.uses_memory else 0)

    def _end(self) -> None:
        if self._run is not None:
            self._run.cancel()
            self._run = None
        was_up, self.is_up, self.uses_memory = self.is_up, False, False
        if was_up:
            self._changed(False)

    async def _start(self) -> None:
        self.uses_memory = True
        await self._operate("start")
        self.is_up = True
        self._changed(True)

    async def _operate(self, name: str) -> None:
        self.calls.append(name)
        while name in self.halted:
            await asyncio.sleep(0.001)
        if name in self.failing:
            raise UnavailableError(f"as scripted: {name}")


class Service:
    """The inference service as far as the device goes: engine, gate, keeper, and a folder that outlives it."""

    def __init__(self, folder: Path, drain_seconds: float = 60) -> None:
        self._folder = folder
        self._drain_seconds = drain_seconds
        self._requests = itertools.count()

    async def start(self) -> None:
        file = LeaseFile(self._folder)
        self.engine = ScriptedEngine(is_held=file.read() is not None)
        await asyncio.sleep(0)
        self.gate = Gate(wait_seconds=0)
        if not self.engine.is_held:
            self.engine.start()
        sharer = Sharer("sleep", (CARD,), self._drain_seconds, 0.05, self.engine.free)
        self.keeper = DeviceKeeper(self.engine, self.gate, file, sharer)
        await self.keeper.__aenter__()

    async def die(self) -> None:
        """As by SIGKILL: nothing is given back or written."""
        self.engine.kill()
        await self.keeper.__aexit__()
        self.engine.kill()

    @property
    def state(self) -> State:
        return self.keeper.state

    async def ask(self, holder: str = "job-a", ttl: float = 60, size: int | None = JOB) -> LeaseAnswer:
        answer = await self.keeper.ask(LeaseRequest(holder=holder, devices=[CARD], size_bytes=size, ttl_seconds=ttl))
        self.check()
        return answer

    async def until(self, *phases: Phase) -> None:
        async with asyncio.timeout(20):
            while self.state.phase not in phases:
                self.check()
                await asyncio.sleep(0.001)
        self.check()

    async def until_serving(self) -> None:
        await self.until(Phase.SERVING)
        assert self.engine.is_up
        assert self.engine.uses_memory
        await self.gate.enter()
        self.gate.leave()

    async def until_granted(self, holder: str = "job-a") -> None:
        async with asyncio.timeout(20):
            while not (await self.ask(holder)).granted:
                await asyncio.sleep(0.001)

    def check(self) -> None:
        """The card is never promised twice."""
        assert not (self.state.is_granted and self.engine.uses_memory), self.state
        assert self.state.phase is not Phase.SERVING or not self.engine.is_held
