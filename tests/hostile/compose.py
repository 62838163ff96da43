"""The compose stack that the kills part works on with `--target compose`: a project of its own, on free ports and with fresh secrets.

Its images are built from these sources first, as far as they are not; its volumes go with it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from e2e.compose.environment import REPO, clean_environment, make_env_file, why_no_engine
from hostile.stack import HEALTHY_SECONDS, SETTINGS, START_SECONDS, TRACEBACK, StartFailed, kind_of, raised

from burnish.objectstores.s3 import S3ObjectStore
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.inference import InferenceClient
from burnish_client.sdk.trainer import TrainerClient

MODEL = REPO / ".cache/models/smollm2-135m-instruct"
SERVICES = ("objectstore", "curator", "trainer", "inference")
PUBLISHED = ("CURATOR", "TRAINER", "INFERENCE", "S3")
# No engine restarts a container that is merely unhealthy: a person does who has looked for so long.
PATIENCE_SECONDS = 60.0
BUILD_SECONDS = 3600.0
ENGINE_SECONDS = 120.0  # in which a busy engine answers
OVERRIDE = """
services:
  objectstore:
    networks: [private, published]
    ports: ["127.0.0.1:{s3_port}:8333"]
  trainer:
    environment: {{{settings}}}
"""


@dataclass(frozen=True)
class ComposeStack:
    """A running project, and what the kills part asks of it, as `hostile.stack.Stack` answers it.

    files: compose files; ports: by PUBLISHED; since: when each service was first seen unwell.
    """

    folder: Path
    files: tuple[str, ...]
    variables: dict[str, str]
    ports: dict[str, int]
    since: dict[str, float]

    def compose(
        self, *words: str, limit_seconds: float = ENGINE_SECONDS, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        chosen = [word for file in self.files for word in ("-f", file)]
        done = subprocess.run(
            ["docker", "compose", "--env-file", str(self.folder / ".env"), *chosen, *words],
            cwd=REPO, env=clean_environment(), capture_output=True, text=True, timeout=limit_seconds, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise StartFailed(f"`docker compose {' '.join(words)}` failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    @property
    def token(self) -> str:
        return self.variables["BURNISH_TOKEN"]

    def base_model(self) -> str:
        with InferenceClient(f"http://127.0.0.1:{self.ports['INFERENCE']}", self.token) as inference:
            return inference.base_model()

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service.upper()]}"

    def http(self, service: str, timeout_seconds: float = 30) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url(service), headers=headers, timeout=timeout_seconds, trust_env=False)

    def curator(self) -> CuratorClient:
        return CuratorClient(self.url("curator"), self.token)

    def trainer(self) -> TrainerClient:
        return TrainerClient(f"127.0.0.1:{self.ports['TRAINER']}", self.token)

    def store(self) -> S3ObjectStore:
        keys = (self.variables["BURNISH_S3_ACCESS_KEY"], self.variables["BURNISH_S3_SECRET_KEY"])
        return S3ObjectStore(f"127.0.0.1:{self.ports['S3']}", *keys, "burnish")

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Every process of the containers by what it is; `whole` is a container's first one, with which all others end."""
        found: dict[str, list[psutil.Process]] = {}
        for service, (state, pid) in self._states().items():
            if state == "gone" or not pid:
                continue
            with suppress(psutil.NoSuchProcess):
                first = psutil.Process(pid)
                found.setdefault("whole", []).append(first)
                for process in first.children(recursive=True):
                    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                        found.setdefault(kind_of(process, service), []).append(process)
        return found

    def _states(self) -> dict[str, tuple[str, int]]:
        """service -> (healthy, starting, unhealthy or gone; its first process on this host)."""
        form = '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}} {{.State.Pid}}'
        ours = f"label=com.docker.compose.project={self.variables['COMPOSE_PROJECT_NAME']}"
        listed = subprocess.run(
            ["docker", "ps", "-aq", "--filter", ours],
            capture_output=True,
            text=True,
            timeout=ENGINE_SECONDS,
            check=True,
        )
        ids = listed.stdout.split()
        shown = subprocess.run(
            ["docker", "inspect", "--format", form, *ids],
            capture_output=True,
            text=True,
            timeout=ENGINE_SECONDS,
            check=True,
        ).stdout
        found = dict.fromkeys(SERVICES, ("gone", 0))
        for line in shown.splitlines():
            service, state, health, pid = line.split(" ")
            if service in found:
                found[service] = (health if state == "running" else "gone", int(pid))
        return found

    def broken(self) -> list[str]:
        return [f"{service} is {state}" for service, (state, _) in self._states().items() if state != "healthy"]

    def was_given_up(self) -> bool:
        """True if a service has been unwell for a minute."""
        return bool(self._given_up())

    def _given_up(self) -> list[str]:
        now = time.monotonic()
        for service, (state, _) in self._states().items():
            if state in ("healthy", "starting"):
                self.since.pop(service, None)
            else:
                self.since.setdefault(service, now)
        return [service for service, since in self.since.items() if now - since > PATIENCE_SECONDS]

    def start_again(self) -> None:
        """As a person does who has looked at it for so long."""
        for service in self._given_up():
            self.compose("restart", "--timeout", "5", service, limit_seconds=180)
            self.since.pop(service, None)

    def wait_started(self) -> None:
        """However long the engine calls a container unhealthy, as `up --wait` does not on a busy machine. StartFailed if one stays so."""
        deadline = time.monotonic() + START_SECONDS
        while broken := self.broken():
            if time.monotonic() > deadline:
                raise StartFailed(f"after {START_SECONDS:.0f} s {', '.join(broken)}")
            time.sleep(1)

    def wait_healthy(self, limit_seconds: float = HEALTHY_SECONDS) -> bool:
        deadline = time.monotonic() + limit_seconds
        while self.broken():
            if time.monotonic() > deadline:
                return False
            self.start_again()
            time.sleep(1)
        return True

    def log_watch(self) -> ComposeLogs:
        return ComposeLogs(self)


class ComposeLogs:
    """What the containers' logs say, asked once at the end: the engine keeps them over restarts."""

    def __init__(self, stack: ComposeStack) -> None:
        self._stack = stack
        self._counted = 0

    def tracebacks(self) -> list[str]:
        text = self._stack.compose("logs", "--no-color", "--no-log-prefix", check=False).stdout.encode()
        found = [raised(part) for part in text.split(TRACEBACK)[1:]]
        new, self._counted = found[self._counted :], len(found)
        return new


@contextmanager
def running(folder: Path, build: bool) -> Iterator[ComposeStack]:
    """Up on entry; down with its volumes on exit, its logs kept in folder/logs. StartFailed if no engine answers, or it does not start.

    build: its images first. Older ones would be another version than the client, and their trainer might take no job of it.
    """
    if missing := why_no_engine():
        raise StartFailed(missing)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".env").unlink(missing_ok=True)
    ports = _free_ports()
    numbers = {f"BURNISH_{name}_PORT": str(ports[name]) for name in PUBLISHED[:3]}
    if MODEL.is_dir():  # made by set-up, and its owner's alone; without it the stack makes one
        numbers["BURNISH_BASE_MODEL"] = str(shutil.copytree(MODEL, folder / "model", dirs_exist_ok=True))
        for file in (folder / "model").iterdir():
            file.chmod(0o644)
    files = make_env_file(folder / ".env", COMPOSE_PROJECT_NAME=f"burnish-hostile-{os.getpid()}", **numbers)
    settings = ", ".join(f'{name}: "{value}"' for name, value in SETTINGS.items())
    override = folder / "override.yml"
    override.write_text(OVERRIDE.format(s3_port=ports["S3"], settings=settings))
    pairs = (line.split("=", 1) for line in (folder / ".env").read_text().splitlines() if line[:1].isupper())
    stack = ComposeStack(folder, (*files, str(override)), dict(pairs), ports, {})
    if build:
        stack.compose("build", "--quiet", limit_seconds=BUILD_SECONDS)
    try:
        stack.compose("up", "--detach", "--no-build", limit_seconds=START_SECONDS)
        stack.wait_started()
        yield stack
    finally:
        (folder / "logs").mkdir(exist_ok=True)
        (folder / "logs/compose.log").write_text(stack.compose("logs", "--no-color", check=False).stdout)
        stack.compose("down", "--volumes", "--timeout", "5", limit_seconds=180, check=False)


def _free_ports() -> dict[str, int]:
    held = {name: socket.create_server(("127.0.0.1", 0)) for name in PUBLISHED}
    try:
        return {name: int(server.getsockname()[1]) for name, server in held.items()}
    finally:
        for server in held.values():
            server.close()
