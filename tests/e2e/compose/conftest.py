"""One compose stack for all container tests: built, started, and taken down with its volumes at the end.

test_images and test_loop see it as `make secrets` makes it; then test_secured turns it to TLS, Postgres and Prometheus.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest
from e2e.command import BURNISH, Run, command
from e2e.compose.environment import REPO, clean_environment, make_env_file, why_no_engine
from testcontainers.compose import DockerCompose

from burnish_client.sdk.trainer import TrainerClient
from burnish_protos.trainer.v1.trainer_pb2 import TuningJob

SERVICES = ("curator", "trainer", "inference", "objectstore")
DOORS = ("CURATOR", "TRAINER", "INFERENCE")


@dataclass(frozen=True)
class Stack:
    """A running stack.

    variables: what its .env holds; folder: where that .env stands; burnish: the command on the host; ca: the authority of its
    certificate, where its endpoints speak TLS.
    """

    engine: DockerCompose
    folder: Path
    variables: dict[str, str]
    burnish: Run
    ca: Path | None = None

    def with_tls(self, folder: Path) -> Self:
        """The same stack under deploy/compose.tls.yml, with the certificates of this folder."""
        files = [*(self.engine.compose_file_name or ()), "deploy/compose.tls.yml"]
        engine = DockerCompose(REPO, compose_file_name=files, env_file=self.engine.env_file)
        return replace(self, engine=engine, ca=folder / "ca.pem")

    def compose(
        self, *words: str, timeout_seconds: float = 300, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.engine.compose_command_property, *words],
            cwd=REPO, capture_output=True, text=True, timeout=timeout_seconds, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done

    def inside(self, service: str, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.compose("exec", "-T", service, *argv, check=check)

    def crash(self, service: str) -> None:
        """End the service's own process with SIGKILL, as running out of memory would; `init` ends with it."""
        self.inside(service, "sh", "-c", "kill -9 $(cat /proc/1/task/1/children)", check=False)

    def kill(self, service: str) -> None:
        """`docker kill`, which the engine takes for a wish: a restart policy leaves the container down."""
        self.compose("kill", service)
        assert self.container(service, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137"

    def container(self, service: str, form: str) -> str:
        name = self.compose("ps", "-aq", service).stdout.strip()
        return subprocess.run(
            ["docker", "inspect", "--format", form, name], capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()

    def restarts(self, service: str) -> int:
        """How often its restart policy has started it again."""
        return int(self.container(service, "{{.RestartCount}}"))

    def volume(self, service: str) -> str:
        """The name of the volume that holds the service's data."""
        return f"{self.variables['COMPOSE_PROJECT_NAME']}_{service}-data"

    def url(self, door: str) -> str:
        return f"{'https' if self.ca else 'http'}://127.0.0.1:{self.variables[f'BURNISH_{door}_PORT']}"

    def trainer(self, token: str | None = None) -> TrainerClient:
        address = f"{'grpcs' if self.ca else 'grpc'}://127.0.0.1:{self.variables['BURNISH_TRAINER_PORT']}"
        return TrainerClient(address, token or self.variables["BURNISH_TOKEN"], ca=self.ca)


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.5)
    pytest.fail(f"not within {seconds:.0f} s: {what}")


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`docker compose up --build --wait` on free ports and with fresh secrets; `down --volumes` whatever happens."""
    if missing := why_no_engine():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("compose")
    env_file = folder / ".env"
    files = make_env_file(env_file, COMPOSE_PROJECT_NAME=f"burnish-test-{os.getpid()}", **free_ports())
    pairs = (line.split("=", 1) for line in env_file.read_text().splitlines() if line[:1].isupper())
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("BURNISH_", "COMPOSE_"))]:
            patch.delenv(name)
        patch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image cannot be pulled everywhere; `down` cleans up
        engine = DockerCompose(REPO, compose_file_name=files, env_file=str(env_file), build=True, wait=True)
        started = Stack(engine, folder, dict(pairs), command())
        try:
            engine.start()
            yield started
        except subprocess.CalledProcessError as error:
            pytest.fail(
                f"{error.stderr.decode()[-4000:]}\n{started.compose('logs', '--tail', '40', check=False).stdout[-6000:]}"
            )
        finally:
            everything = [word for profile in ("postgres", "observability") for word in ("--profile", profile)]
            started.compose(*everything, "down", "--volumes", check=False)
            shutil.rmtree(folder / "demo", ignore_errors=True)


@pytest.fixture(scope="package")
def demo(stack: Stack) -> Path:
    """`burnish demo --small --target compose`, every service crashed once while it trains; the folder that it filled."""
    out = stack.folder / "demo"
    with (stack.folder / "demo.log").open("w") as log:
        running = subprocess.Popen(
            [str(BURNISH), "demo", "--small", "--questions", "80", "--seed", "1", "--target", "compose", "--out", str(out)],
            cwd=stack.folder, env=clean_environment(NO_COLOR="1"), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        with stack.trainer() as client:
            until(lambda: running.poll() is not None or training(client), 600, "the demo trains")
        assert running.poll() is None, (stack.folder / "demo.log").read_text()[-3000:]
        for service in SERVICES:
            stack.crash(service)
        until(lambda: all(stack.restarts(service) for service in SERVICES), 60, "what crashed is started again")
        code = running.wait(timeout=900)
    finally:
        if running.poll() is None:
            running.terminate()
            running.wait(timeout=60)
    said = (stack.folder / "demo.log").read_text()
    assert code == 0, said[-4000:] + stack.compose("logs", "--tail", "30", check=False).stdout[-4000:]
    return out


def training(client: TrainerClient) -> TuningJob | None:
    """A job that has taken its second step."""
    return next((job for job in client.list_jobs(["running"]) if job.progress.step >= 2), None)


def free_ports() -> dict[str, str]:
    """A free loopback port for each door, all held while picking, so that they differ."""
    held = {door: socket.create_server(("127.0.0.1", 0)) for door in DOORS}
    try:
        return {f"BURNISH_{door}_PORT": str(server.getsockname()[1]) for door, server in held.items()}
    finally:
        for server in held.values():
            server.close()
