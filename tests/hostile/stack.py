"""The embedded stack that a hostile round works on: started by `burnish up` in a home of its own, with everything real.

Used by every part of the round but the fuzzing. The home stays after a round, for its logs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from integration.client.homes import Home

from burnish.objectstores.s3 import S3ObjectStore
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.trainer import TrainerClient
from burnish_client.stack import control
from burnish_client.stack.parts import BUCKET

START_SECONDS = 600.0
HEALTHY_SECONDS = 240.0
MIB = 1024 * 1024
# Jobs that are killed all the time are not poisoned ones: the limits of strikes are set out of the way. Stopped ones are found soon.
SETTINGS = {
    "BURNISH_TRAINER_MAX_ATTEMPTS": "100",
    "BURNISH_TRAINER_MAX_TOTAL_ATTEMPTS": "1000",
    "BURNISH_TRAINER_RETRY_DELAY_SECONDS": "0.1",
    "BURNISH_TRAINER_RETRY_DELAY_MAX_SECONDS": "1",
    "BURNISH_TRAINER_HEARTBEAT_TIMEOUT_SECONDS": "20",
}
TRACEBACK = b"Traceback (most recent call last)"


class StartFailed(Exception):
    """`burnish up` ended with an error, which the message has."""


@dataclass(frozen=True)
class Stack(Home):
    """The home, and what a round asks of it."""

    def up(self) -> None:
        """As a user starts it, also over what a killed stack left."""
        started = self.burnish("up", timeout_seconds=START_SECONDS, OMP_NUM_THREADS=str(os.cpu_count()), **SETTINGS)
        if started.returncode:
            raise StartFailed(f"`burnish up` failed:\n{started.stdout}{started.stderr}")

    def restart(self) -> None:
        control.down(self.path)
        self.up()

    @property
    def token(self) -> str:
        return str(self.state()["token"])

    def url(self, service: str) -> str:
        return str(self.state()[f"{service}_url"])

    def address(self, service: str) -> tuple[str, int]:
        url = httpx.URL(self.url(service))
        assert url.port is not None
        return url.host, url.port

    def http(self, service: str, timeout_seconds: float = 30) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url(service), headers=headers, timeout=timeout_seconds, trust_env=False)

    def curator(self) -> CuratorClient:
        return CuratorClient(self.url("curator"), self.token)

    def trainer(self) -> TrainerClient:
        return TrainerClient(str(self.state()["trainer_address"]), self.token)

    def store(self) -> S3ObjectStore:
        state = self.state()
        return S3ObjectStore(state["s3_endpoint"], state["s3_access_key"], state["s3_secret_key"], BUCKET)

    def base_model(self) -> str:
        return str(self.state()["base_model"])

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Every process of the stack by what it is; `whole` is the supervisor, `other` what is none of the known ones."""
        found: dict[str, list[psutil.Process]] = {}
        if (supervisor := self.supervisor()) is None:
            return found
        parts = {part["process"]["pid"]: part["name"] for part in self.state()["parts"] if part["process"]}
        found["whole"] = [supervisor]
        for process in supervisor.children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                found.setdefault(parts.get(process.pid) or kind_of(process, "other"), []).append(process)
        return found

    def start_again(self) -> None:
        """As a person does who finds the stack down, or a part given up."""
        for attempt in range(2):
            try:
                return self.up() if self.supervisor() is None else self.restart()
            except StartFailed:
                if attempt:
                    raise

    def log_watch(self) -> LogWatch:
        return LogWatch(self)

    def supervisor(self) -> psutil.Process | None:
        """None if it is dead."""
        state = control.status(self.path)
        if state is None or not state.supervisor.is_alive():
            return None
        return psutil.Process(state.supervisor.pid)

    def broken(self) -> list[str]:
        """What is not healthy, and why; empty if all is."""
        state = control.status(self.path)
        if state is None or state.phase != "running":
            return [f"the stack is {state.phase if state else 'gone'}"]
        return [f"{part.name} is {part.state}: {part.reason}" for part in state.parts if part.state != "healthy"]

    def was_given_up(self) -> bool:
        """True if the supervisor has given a part up, or is dead: then a person starts the stack again."""
        state = control.status(self.path)
        return state is None or state.phase != "running" or any(part.state == "failed" for part in state.parts)

    def wait_healthy(self, limit_seconds: float = HEALTHY_SECONDS) -> bool:
        deadline = time.monotonic() + limit_seconds
        while self.broken():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True

    def memory_mib(self) -> dict[str, float]:
        """Resident memory of each service and of all its processes."""
        return {
            part["name"]: sum(map(_resident, _tree(part["process"]["pid"]))) / MIB
            for part in self.state()["parts"]
            if part["process"]
        }

    def logs(self) -> list[Path]:
        """Of the parts, of their workers and of vLLM; the one before of each too."""
        return [*(self.path / "logs").glob("*.log*"), *(self.path / "data").glob("**/*.log")]


class LogWatch:
    """What the logs of a stack say from now on, also those that a new start has put aside."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._seen = {log.stat().st_ino: log.stat().st_size for log in stack.logs()}

    def tracebacks(self) -> list[str]:
        """Where each stands, and how it ends; of what was written since this was asked last."""
        found = []
        for log in self._stack.logs():
            with log.open("rb") as handle:
                handle.seek(self._seen.get(log.stat().st_ino, 0))
                written = handle.read()
                self._seen[log.stat().st_ino] = handle.tell()
            found += [f"{log.name}: {raised(part)}" for part in written.split(TRACEBACK)[1:]]
        return found


def kind_of(process: psutil.Process, otherwise: str) -> str:
    """Which of the processes that a part starts it is, by its command."""
    command = " ".join(process.cmdline())
    for word, kind in (
        ("burnish_trainer.preflight", "checker"),
        ("burnish_trainer.worker", "worker"),
        ("VLLM", "vllm"),
        ("vllm", "vllm"),
    ):
        if word in command:
            return kind
    return otherwise


def raised(after: bytes) -> str:
    """The exception's own line: the first one that is not indented, whether the log has real lines or JSON ones."""
    lines = after[:20_000].decode(errors="replace").replace("\\n", "\n").splitlines()[1:]
    return next((line for line in lines if line and not line.startswith(" ")), "")[:300]


def _tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """Up on entry, down on exit. The folder is emptied first; its data is removed afterwards, its logs stay.

    Raises StartFailed if another round works in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stack, logs = Stack(folder / "home"), folder / "logs"
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartFailed(f"another round is running in {folder}: wait for it") from None
        control.down(stack.path)  # of a round that was killed
        for old in (stack.path, logs):
            shutil.rmtree(old, ignore_errors=True)
        try:
            stack.up()
            yield stack
        finally:
            control.down(stack.path)
            logs.mkdir()
            for log in stack.logs():
                shutil.copy(log, logs / log.name)
            shutil.rmtree(stack.path / "data", ignore_errors=True)
