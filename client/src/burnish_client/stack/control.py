"""Starting, watching and ending the embedded stack from another process: what the CLI, the demo and tests call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from burnish.errors import BurnishError, PreconditionError, UnavailableError
from burnish.schemas.models import RECORD
from burnish_client.stack import processes
from burnish_client.stack import state as states
from burnish_client.stack.models.shelf import Shelf
from burnish_client.stack.settings import StackSettings
from burnish_client.stack.state import PART_NAMES, PartName, StackState

LOCKED_EXIT_CODE = 3
DETACH = b"detach\n"
POLL_SECONDS = 0.1
END_LIMIT_SECONDS = 45.0  # longer than any part's grace and the object store's after it
OTHERS_START_SECONDS = 15.0
TAIL_LINES = 15
ADVICE: dict[PartName, str] = {
    "objectstore": "its data is in data/objectstore of the state folder: is the disk full?",
    "curator": "`make setup` repairs its packages; its database is in data/curator of the state folder",
    "trainer": "`make setup` repairs its packages; its queue is in data/trainer of the state folder",
    "inference": "vLLM needs about 4 GB of free memory, and minutes on a busy machine; to work without serving: `burnish up --without inference`",
}


class StartFailedError(UnavailableError):
    """A part of the stack did not start, and everything that had started was ended. The message has its last log lines and what to do."""


class Launch:
    """One start of the stack, owned by this process until `detach`: leaving the block without it ends what was started.

    If a stack runs already, this only observes it (`is_owner` is False), and ends nothing.
    """

    def __init__(
        self,
        settings: StackSettings | None = None,
        without: Collection[PartName] = (),
        *,
        new_secrets: bool = False,
        model: str | None = None,
    ) -> None:
        """new_secrets: a new token and new S3 keys instead of the ones kept with the home. model: name of a base model that was
        added; None: as choose_base_model has it."""
        self._settings = settings or StackSettings()
        self._without = frozenset(without)
        self._new_secrets = new_secrets
        self._model = model
        self._process: subprocess.Popen[bytes] | None = None
        self.home = self._settings.home.resolve()
        self.is_owner = False

    def __enter__(self) -> Self:
        """Start the supervisor, or find the one that runs. Raises PreconditionError if set-up is not done."""
        running = self._running()
        if running is not None and self._new_secrets:
            raise PreconditionError(
                f"the stack in {self.home} runs on its old secrets: `burnish down`, then `burnish up --new-secrets`"
            )
        if running is not None and self._model not in (None, running.base_model):
            raise PreconditionError(
                f"the stack in {self.home} runs on base model {running.base_model}: `burnish down`, then `burnish up --model {self._model}`"
            )
        if running is None:
            folder = choose_base_model(self._settings, self._model)
            self._settings = self._settings.model_copy(update={"base_model": folder})
            self._settings.check(with_inference="inference" not in self._without)
            self._spawn()
        return self

    def _running(self) -> StackState | None:
        """The stack that is up. Waits first for one that is just ending."""
        deadline = time.monotonic() + END_LIMIT_SECONDS
        while (state := states.read(self.home)) and state.supervisor.is_alive():
            if state.is_up:
                return state
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"the stack in {self.home} has been ending for {END_LIMIT_SECONDS:.0f} s: `burnish down` kills what is left of it"
                )
            time.sleep(POLL_SECONDS)
        return None

    def _spawn(self) -> None:
        logs = self.home / "logs"
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        logs.mkdir(exist_ok=True, mode=0o700)
        command = [sys.executable, "-m", "burnish_client.stack.supervisor", str(self.home)]
        for name in sorted(self._without):
            command += ["--without", name]
        if self._new_secrets:
            command.append("--new-secrets")
        with (logs / "supervisor.log").open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "BURNISH_BASE_MODEL": str(self._settings.base_model)},
            )
        self.is_owner = True

    def wait_healthy(self, show: Callable[[StackState | None], None] = lambda state: None) -> StackState:
        """Return once every part is healthy. `show` is called with the newest state about ten times a second.

        Raises StartFailedError with the reason and last log lines; PreconditionError if the running stack lacks a wanted part.
        """
        deadline = time.monotonic() + OTHERS_START_SECONDS
        while True:
            code = self._process.poll() if self._process else None
            state = states.read(self.home)
            if code == LOCKED_EXIT_CODE:  # another `up` won the race for the lock: watch its stack
                self._process, self.is_owner = None, False
            elif code is not None:
                raise self._failure(state, code)
            if state is not None and self._is_ours(state):
                show(state)
                if state.phase == "running":
                    self._check_complete(state)
                    return state
                deadline = time.monotonic() + OTHERS_START_SECONDS
            elif not self.is_owner and time.monotonic() > deadline:
                raise UnavailableError(
                    f"the stack in {self.home} ended while it was starting: read {self.home / 'logs' / 'supervisor.log'}, then `burnish up`"
                )
            else:
                show(None)
            time.sleep(POLL_SECONDS)

    def _is_ours(self, state: StackState) -> bool:
        """True for the stack being started or observed; False for the state that an earlier stack left."""
        return state.supervisor.pid == self._process.pid if self._process else state.is_up

    def _check_complete(self, state: StackState) -> None:
        running = {part.name for part in state.parts}
        missing = [name for name in PART_NAMES if name not in self._without | running]
        if missing:
            raise PreconditionError(
                f"the stack in {self.home} runs without {' and '.join(missing)}: `burnish down`, then `burnish up` starts it whole"
            )

    def _failure(self, state: StackState | None, code: int) -> BurnishError:
        parts = state.parts if state and self._is_ours(state) else []
        failed = next((part for part in parts if part.state == "failed"), None)
        if failed is None:
            log = self.home / "logs" / "supervisor.log"
            return StartFailedError(f"the supervisor ended with exit code {code}; the end of {log}:\n{tail(log)}")
        return StartFailedError(
            f"{failed.name}: {failed.reason}; the end of {failed.log}:\n{tail(Path(failed.log))}\n{ADVICE[failed.name]}",
            part=failed.name,
        )

    def detach(self) -> None:
        """Leave the stack running when this process ends."""
        if self._process and self._process.stdin:
            self._process.stdin.write(DETACH)
            self._process.stdin.close()
            self._process.returncode = 0  # tells Popen that it is no longer ours to wait for
            self._process = None

    def wait_ended(self) -> int:
        """Block until the stack that this process owns ends by itself (or by `burnish down`); its exit code."""
        return self._process.wait() if self._process else 0

    def __exit__(self, *exception: object) -> None:
        """End what was started, within END_LIMIT_SECONDS. Signals are ignored meanwhile, so that nothing is left half ended."""
        if self._process is None:
            return
        with _handling((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN):
            if self._process.stdin:
                self._process.stdin.close()  # the end of the lifeline makes the supervisor end the stack
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_LIMIT_SECONDS)
            left = states.read(self.home)
            if (
                left is not None and left.supervisor.pid == self._process.pid
            ):  # else it is a stack that another `up` started
                kill_remains(self.home)
            self._process.kill()
            self._process.wait()


def choose_base_model(settings: StackSettings, name: str | None) -> Path:
    """Folder of the base model that a stack starts on: the named one, else BURNISH_BASE_MODEL, else that of its last start, else SmolLM2.

    NotFoundError if no model was added under the name; PreconditionError if that of the last start has gone.
    """
    if name is not None:
        return Shelf(settings.home, settings.base_model).named(name).folder
    last = states.read(settings.home.resolve())
    if "base_model" in settings.model_fields_set or last is None or last.base_model_folder is None:
        return settings.base_model
    folder = Path(last.base_model_folder)
    if not (folder / RECORD).is_file():
        raise PreconditionError(
            f"base model {last.base_model}, which this stack had last, is no longer in {folder}: `burnish model ls` lists those that "
            "are there, `burnish up --model NAME` starts on one"
        )
    return folder


def status(home: Path) -> StackState | None:
    """What runs now. A stack whose supervisor is gone counts as stopped, whatever it wrote last. None: never started here."""
    state = states.read(home)
    if state is None or state.supervisor.is_alive():
        return state
    ended = [
        part.model_copy(update={"state": "ended", "process": None}) if part.state != "failed" else part
        for part in state.parts
    ]
    phase = "failed" if state.phase == "failed" else "stopped"
    return state.model_copy(update={"phase": phase, "parts": ended})


def down(home: Path, timeout_seconds: float = END_LIMIT_SECONDS) -> bool:
    """End the stack with all its processes within about timeout_seconds; data stays. False if nothing ran.

    stack.json then says `stopped`, even if the supervisor was killed and could not write it: after an ended stack, the
    commands of its folder use the login; after a crashed one they do not (config/endpoints.py).
    """
    state = states.read(home)
    if state is None:
        return False
    was_alive = state.supervisor.is_alive()
    if was_alive:
        with suppress(ProcessLookupError):
            os.kill(state.supervisor.pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout_seconds
        while state.supervisor.is_alive() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    killed = kill_remains(home)
    last = states.read(home)
    if last is not None and last.phase != "stopped" and not last.supervisor.is_alive():
        states.write(home, (status(home) or last).model_copy(update={"phase": "stopped"}))
    return killed or was_alive


def kill_remains(home: Path) -> bool:
    """SIGKILL what is left of the stack in this home: the supervisor and the parts' sessions. False if nothing was left."""
    state = states.read(home)
    if state is None:
        return False
    left = [state.supervisor, *(part.process for part in state.parts if part.process)]
    return sum(processes.end_leftover(identity) for identity in left) > 0


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented."""
    try:
        with log.open(errors="replace") as handle:
            return "".join(f"  {line}" for line in deque(handle, maxlen=lines)).rstrip() or "  (empty)"
    except FileNotFoundError:
        return "  (missing)"


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, by KeyboardInterrupt, so that `Launch` ends what it started."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with _handling((signal.SIGTERM, signal.SIGHUP), interrupt):
        yield


@contextmanager
def _handling(
    numbers: tuple[signal.Signals, ...], handler: Callable[[int, object], None] | signal.Handlers
) -> Iterator[None]:
    """Use another handler for these signals within the block. Outside the main thread, where Python allows none, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(number, signal.signal(number, handler)) for number in numbers]
    try:
        yield
    finally:
        for number, earlier in before:
            signal.signal(number, earlier)
