"""One compose stack for all container tests: built, started, and taken down with its volumes at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.command import Run, command
from e2e.compose.environment import REPO, wheels_folder, why_no_engine
from testcontainers.compose import DockerCompose

DOORS = ("CURATOR", "TRAINER", "INFERENCE")


@dataclass(frozen=True)
class Stack:
    """A running stack. variables: what its .env holds; folder: where that .env stands; burnish: the command on the host."""

    engine: DockerCompose
    folder: Path
    variables: dict[str, str]
    burnish: Run

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
        """End the service's own process with SIGKILL, as running out of memory would; `init` ends with it.

        Not `docker kill`: the engine takes that for a wish, and a restart policy leaves it down.
        """
        self.inside(service, "sh", "-c", "kill -9 $(cat /proc/1/task/1/children)", check=False)

    def container(self, service: str, form: str) -> str:
        name = self.compose("ps", "-aq", service).stdout.strip()
        return subprocess.run(
            ["docker", "inspect", "--format", form, name], capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()

    def url(self, door: str) -> str:
        return f"http://127.0.0.1:{self.variables[f'BURNISH_{door}_PORT']}"


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`docker compose up --build --wait` on free ports and with fresh secrets; `down --volumes` whatever happens."""
    if missing := why_no_engine():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("compose")
    env_file = folder / ".env"
    subprocess.run([str(REPO / "scripts/secrets.sh"), str(env_file)], check=True, timeout=30, capture_output=True)
    variables = free_ports() | {"COMPOSE_PROJECT_NAME": f"burnish-test-{os.getpid()}", "BURNISH_REVISION": "tested"}
    files = ["docker-compose.yml"]
    if wheels := wheels_folder():
        files.append("deploy/compose.wheels.yml")
        variables["BURNISH_WHEELS"] = str(wheels)
    with env_file.open("a") as lines:
        lines.writelines(f"{name}={value}\n" for name, value in variables.items())
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
            engine.stop()
            shutil.rmtree(folder / "demo", ignore_errors=True)


def free_ports() -> dict[str, str]:
    """A free loopback port for each door, all held while picking, so that they differ."""
    held = {door: socket.create_server(("127.0.0.1", 0)) for door in DOORS}
    try:
        return {f"BURNISH_{door}_PORT": str(server.getsockname()[1]) for door, server in held.items()}
    finally:
        for server in held.values():
            server.close()
