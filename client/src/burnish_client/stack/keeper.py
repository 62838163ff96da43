"""Keeps one part running: starts it, waits until it is ready, restarts it with back-off, ends it. Each part has a Keeper."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import UnavailableError
from burnish_client.stack import processes
from burnish_client.stack.parts import Part
from burnish_client.stack.state import PartState, PartStatus, ProcessIdentity

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class RestartPolicy:
    """A part that ended is started again after 0.5, 1, 2, … seconds, and given up after `most` restarts within the window.

    A part that runs but fails `alive` for hung_seconds counts as ended.
    """

    most: int = 5
    window_seconds: float = 600.0
    first_pause_seconds: float = 0.5
    probe_interval_seconds: float = 5.0
    hung_seconds: float = 60.0


class Keeper:
    """The life of one part. `report` is called with every change of its status."""

    def __init__(
        self,
        part: Part,
        home: Path,
        report: Callable[[PartStatus], None],
        clean: Callable[[], Awaitable[None]],
        policy: RestartPolicy | None = None,
    ) -> None:
        """clean: awaited after the part's process has ended, before it is started again."""
        self.part = part
        self.is_spawning = False
        self._clean = clean
        self.policy = policy or RestartPolicy()
        self._cwd = home
        self._log = home / "logs" / f"{part.name}.log"
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._restarts: list[float] = []
        self.status = PartStatus(
            name=part.name, state="waiting", address=part.address, log=str(self._log), since=time.time()
        )

    @property
    def pid(self) -> int | None:
        """None if the process does not live."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start, and return once ready. Raises UnavailableError with the reason if it ends or takes longer than its limit."""
        started = time.monotonic()
        self._set("starting", reason=None)
        self.is_spawning = True
        try:
            self._process = await processes.spawn(self.part.argv, self.part.env, self._cwd, self._log)
        finally:
            self.is_spawning = False
        self._set("starting", process=ProcessIdentity.of(self._process.pid))
        try:
            async with asyncio.timeout(self.part.start_limit_seconds):
                await self._until_ready()
        except TimeoutError:
            raise UnavailableError(f"not ready after {self.part.start_limit_seconds:.0f} s") from None
        self._set("healthy", start_seconds=round(time.monotonic() - started, 2))

    async def _until_ready(self) -> None:
        assert self._process is not None
        while True:
            if self._process.returncode is not None:
                raise UnavailableError(f"ended while starting, {_how(self._process.returncode)}")
            if await self.part.started():
                return
            await asyncio.sleep(POLL_SECONDS)

    async def keep(self) -> None:
        """Watch over the started part. Returns only if it was given up."""
        while True:
            reason = await self._until_down()
            await self._end_process()
            if not await self._restart(reason):
                return

    async def _restart(self, reason: str) -> bool:
        """Start again until it is ready. False if the policy gives the part up."""
        while True:
            now = time.monotonic()
            self._restarts = [at for at in self._restarts if now - at < self.policy.window_seconds]
            if len(self._restarts) >= self.policy.most:
                self._set(
                    "failed",
                    reason=f"{reason}; given up after {self.policy.most} restarts within {self.policy.window_seconds:.0f} s",
                )
                return False
            self._restarts.append(now)
            self._set("restarting", reason=reason, restarts=self.status.restarts + 1, process=None)
            await asyncio.sleep(self.policy.first_pause_seconds * 2 ** (len(self._restarts) - 1))
            try:
                await self.start()
            except UnavailableError as error:
                reason = error.message
                await self._end_process()
                continue
            self._set("healthy", reason=f"restarted: {reason}")
            return True

    async def _until_down(self) -> str:
        """Probe until the process ends or has not answered for hung_seconds. Returns which."""
        assert self._process is not None
        ended = asyncio.ensure_future(self._process.wait())
        answered = time.monotonic()
        try:
            while True:
                with suppress(TimeoutError):
                    return f"ended, {_how(await asyncio.wait_for(asyncio.shield(ended), self.policy.probe_interval_seconds))}"
                alive = await self.part.alive()
                if alive:
                    answered = time.monotonic()
                elif time.monotonic() - answered > self.policy.hung_seconds:
                    return f"did not answer for {self.policy.hung_seconds:.0f} s"
                ready = alive if self.part.ready is self.part.alive else await self.part.ready()
                state: PartState = "healthy" if ready else "unready"
                if self.status.state != state:
                    self._set(state)
        finally:
            ended.cancel()

    async def stop(self) -> None:
        """End the process and its whole session: SIGTERM, then SIGKILL after the part's grace. A failed part stays `failed`."""
        await self._end_process()
        self._set("failed" if self.status.state == "failed" else "ended", process=None)

    async def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self.part.grace_seconds)
        processes.kill_session(process.pid)
        await process.wait()
        self._process = None
        await self._clean()

    def fail(self, reason: str) -> None:
        self._set("failed", reason=reason)

    def _set(self, state: PartState, **changes: object) -> None:
        self.status = self.status.model_copy(update={"state": state, "since": time.time(), **changes})
        self._report(self.status)


def _how(return_code: int) -> str:
    return f"exit code {return_code}" if return_code >= 0 else f"killed by signal {-return_code}"
