"""Keeps vLLM running: starts it, waits until it is healthy, watches it, restarts it after a crash or a hang.

vLLM listens on a unix socket in a folder that this user alone may enter. Each start has a new `generation`: what was registered
in vLLM must be registered again when it changes. For as long as a job has the device (device/), vLLM sleeps or is held ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from typing import Self

import aiohttp

from burnish.errors import InternalError, UnavailableError
from burnish_inference.engine.canary import is_sane
from burnish_inference.engine.child import Child

log = logging.getLogger(__name__)

Launch = Callable[[Path], tuple[Sequence[str], Mapping[str, str]]]  # socket -> (argv, environment)
URL = "http://vllm"  # the host is only a name: every connection goes to the socket
RETRY_AFTER_SECONDS = 5


class State(Enum):
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    ASLEEP = "asleep"  # it lives, and answers nobody
    HELD = "held"  # ended on purpose, until `release`
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Policy:
    """Limits in seconds. The wait before a restart doubles from first_backoff up to longest_backoff and starts anew after a
    run that was healthy for that long."""

    start_limit: float = 600
    hang_limit: float = 60
    poll_interval: float = 1.0
    canary_interval: float = 15.0
    probe_timeout: float = 5.0
    first_backoff: float = 0.5
    longest_backoff: float = 30.0
    stop_grace: float = 4.0


class Supervisor:
    """`async with Supervisor(launch, model, log_path, policy):` runs it; leaving ends vLLM and everything it started.

    model: the base's name, which is asked a canary prompt now and then.

    A first start that fails is final (`failed` resolves with an InternalError that ends in vLLM's own last lines): the
    settings are wrong then. After it has been healthy once, it is restarted without end.

    is_held: it is not started before `release`.
    """

    def __init__(self, launch: Launch, model: str, log_path: Path, policy: Policy, is_held: bool = False) -> None:
        self._state = State.STARTING
        self._changed: Callable[[bool], None] = lambda is_up: None
        self._held, self._released, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        (self._held if is_held else self._released).set()
        self.generation = 0
        self.restarts = 0
        self.log_path = log_path
        self._sockets = Path(tempfile.gettempdir()) / f"burnish-vllm-{secrets.token_hex(8)}"
        self._launch = launch
        self._model = model
        self._policy = policy
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._probe: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(str(self.socket))
        self._probe = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=self._policy.probe_timeout)
        )
        self._task = asyncio.create_task(self._run(), name="vllm-supervisor")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        assert self._probe is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, InternalError):  # `failed` is where the error is read
            await self._task
        self.state = State.STOPPED
        await self._probe.close()

    @property
    def state(self) -> State:
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        was_up, self._state = self.is_up, state
        if self.is_up != was_up:
            self._changed(self.is_up)

    @property
    def is_up(self) -> bool:
        """Whether vLLM runs and is healthy, awake or asleep."""
        return self.state in (State.READY, State.ASLEEP)

    def watch(self, changed: Callable[[bool], None]) -> None:
        """Call `changed` with is_up at each change of it."""
        self._changed = changed

    def suspend(self) -> None:
        """Nobody gets its URL any more, and it is asked for nothing but its health, until `resume`. UnavailableError if it is not ready."""
        _ = self.url
        self.state = State.ASLEEP

    def resume(self) -> None:
        """UnavailableError if it has ended meanwhile."""
        if self.state is not State.ASLEEP:
            raise UnavailableError(f"the engine is {self.state.value}")
        self.state = State.READY

    async def hold(self) -> None:
        """End it, with everything it started, and do not start it before `release`. Returns once it has ended."""
        self._released.clear()
        self._held.set()
        await self._ended.wait()

    def release(self) -> None:
        """Start it if it is held."""
        self._held.clear()
        self._released.set()

    @property
    def address(self) -> str:
        """Base URL on the socket, whatever the state. For those who put it to sleep and wake it."""
        return URL

    @property
    def socket(self) -> Path:
        """Where vLLM listens, run after run."""
        return self._sockets / "http"

    @property
    def failed(self) -> asyncio.Task[None]:
        """Ends, with its error, only when the first start has failed."""
        assert self._task is not None
        return self._task

    @property
    def url(self) -> str:
        """Base URL of the running vLLM; UnavailableError while there is none."""
        if self.state is not State.READY or self._child is None:
            raise UnavailableError(
                f"the engine is {self.state.value}; ask again in a few seconds (its log: {self.log_path})",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        return URL

    async def check(self) -> bool:
        """Ask vLLM now whether it is healthy; False makes `url` unavailable at once, ahead of the next poll."""
        child = self._child
        if self.state is not State.READY or child is None:
            return False
        healthy = await self._is_healthy()
        if healthy is False and self._child is child and self.state is State.READY:
            self.state = State.RESTARTING
        return healthy is True

    async def examine(self) -> bool:
        """Ask the base the canary prompt now; False if it answers nonsense, and vLLM is started again then."""
        child = self._child
        if self.state is not State.READY or child is None:
            return False
        sane = await self._is_sane()
        if sane is False and self._child is child and self.state is State.READY:
            self.state = State.RESTARTING  # which `_watch` acts on
        return sane is not False

    async def _run(self) -> None:
        backoff = self._policy.first_backoff
        while True:
            if self._held.is_set():
                self.state = State.HELD
                self._ended.set()
                await self._released.wait()
                self._ended.clear()
                self.state = State.STARTING
            started = time.monotonic()
            try:
                if (why := await self._run_unless_held()) is None:
                    continue
            except InternalError:
                if self.generation == 0:
                    self.state = State.FAILED
                    raise
                log.exception("vLLM did not start again")
            else:
                log.error("vLLM %s: restarting; its log: %s.1", why, self.log_path)
            self.state = State.RESTARTING
            if time.monotonic() - started > self._policy.longest_backoff:
                backoff = self._policy.first_backoff
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._held.wait(), backoff)
            backoff = min(backoff * 2, self._policy.longest_backoff)
            self.restarts += 1

    async def _run_unless_held(self) -> str | None:
        """As `_run_once`; None if it was ended by `hold`."""
        run, held = asyncio.ensure_future(self._run_once()), asyncio.ensure_future(self._held.wait())
        try:
            await asyncio.wait([run, held], return_when=asyncio.FIRST_COMPLETED)
        finally:
            held.cancel()
            run.cancel()
            await asyncio.gather(run, held, return_exceptions=True)
        return None if self._held.is_set() else run.result()

    async def _run_once(self) -> str:
        """One run from start to end; why it ended. InternalError if it never became healthy."""
        command, environment = self._launch(self.socket)
        started = time.monotonic()
        child = await Child.start(command, environment, self._sockets, self.log_path, self._policy.stop_grace)
        self._child = child
        try:
            await self._await_health(child)
            if await self._is_sane() is False:
                raise InternalError(start_failure("answers nonsense in its first token", child, self.log_path))
            self.generation += 1
            self.state = State.READY
            log.info("vLLM is healthy after %.1f s", time.monotonic() - started)
            return await self._watch(child)
        finally:
            self.state = State.RESTARTING
            self._child = None
            await asyncio.shield(child.stop())

    async def _await_health(self, child: Child) -> None:
        deadline = time.monotonic() + self._policy.start_limit
        while not await self._is_healthy():
            if child.exit_code is not None:
                raise InternalError(start_failure(f"ended with exit code {child.exit_code}", child, self.log_path))
            if time.monotonic() > deadline:
                what = f"was not healthy after {self._policy.start_limit:.0f} s"
                raise InternalError(start_failure(what, child, self.log_path))
            await asyncio.sleep(min(0.2, self._policy.poll_interval))

    async def _watch(self, child: Child) -> str:
        """Return why the child has to be restarted; never returns while it is well."""
        answered = examined = time.monotonic()
        ended = asyncio.ensure_future(child.wait())
        try:
            while True:
                await asyncio.wait([ended], timeout=self._policy.poll_interval)
                if ended.done():
                    return f"ended with exit code {ended.result()}"
                if time.monotonic() - examined > self._policy.canary_interval:
                    await self.examine()
                    examined = time.monotonic()
                if not self.is_up:  # `check` or `examine` said so
                    return "is dead or answers nonsense"
                healthy = await self._is_healthy()
                if healthy is False:
                    return "reported that its engine is dead"
                if healthy:
                    answered = time.monotonic()
                elif time.monotonic() - answered > self._policy.hang_limit:
                    return f"has not answered for {self._policy.hang_limit:.0f} s"
        finally:
            ended.cancel()

    async def _is_sane(self) -> bool | None:
        assert self._probe is not None
        return await is_sane(self._probe, URL, self._model, self._policy.hang_limit)

    async def _is_healthy(self) -> bool | None:
        """True on 200, False on any other answer, None if there was none."""
        assert self._probe is not None
        try:
            async with self._probe.get(f"{URL}/health") as answer:
                return answer.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return None


def start_failure(what: str, child: Child, log_path: Path) -> str:
    return (
        f"vLLM {what}. Look at its log, {log_path}; it needs about 4 GB of free memory, a complete model folder, and "
        f"BURNISH_INFERENCE_START_LIMIT_SECONDS raised on a slow machine. Its last lines:\n{child.log_tail()}"
    )
