"""Where the compose tests run: the command, the engine, an .env of their own, and a name for what they start.

`PYTHONPATH=tests python -m e2e.compose.environment` builds the images beforehand, so that the tests find them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

REPO = Path(__file__).parents[3]
BASE_IMAGE = "debian:bookworm-slim"
REVISION = "tested"


def clean_environment(**more: str) -> dict[str, str]:
    """This environment without the variables that compose or Burnish would take from it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BURNISH_", "COMPOSE_"))}
    return kept | {"COMPOSE_DISABLE_ENV_FILE": "1"} | more


def why_no_command() -> str | None:
    """What is missing to read compose files."""
    if shutil.which("docker") is None:
        return "the docker command is not installed"
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, timeout=60, check=False)
    return None if done.returncode == 0 else "docker has no compose plugin"


def why_no_engine() -> str | None:
    """What is missing to build and run the stack."""
    if missing := why_no_command():
        return missing
    if subprocess.run(["docker", "version"], capture_output=True, timeout=60, check=False).returncode != 0:
        return "no Docker engine answers"
    return None


def wheels_folder() -> Path | None:
    """pip's find-links folder where it holds a CPU build of torch; a plain index would give the images one with CUDA."""
    done = subprocess.run(
        ["python3", "-m", "pip", "config", "get", "global.find-links"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    folders = [Path(word) for word in (done.stdout.split() + os.environ.get("PIP_FIND_LINKS", "").split())]
    return next((folder for folder in folders if list(folder.glob("torch-*+cpu-*.whl"))), None)


def make_env_file(path: Path, **variables: str) -> list[str]:
    """Write an .env as `make secrets` does, with these variables besides. Returns the compose files that the images are built from."""
    subprocess.run([str(REPO / "scripts/secrets.sh"), str(path)], check=True, timeout=30, capture_output=True)
    files, more = ["docker-compose.yml"], {"BURNISH_REVISION": REVISION, **variables}
    if wheels := wheels_folder():
        files.append("deploy/compose.wheels.yml")
        more["BURNISH_WHEELS"] = str(wheels)
    with path.open("a") as lines:
        lines.writelines(f"{name}={value}\n" for name, value in more.items())
    return files


def compose(
    *words: str, files: tuple[str, ...] = (), variables: Mapping[str, str], timeout_seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """docker compose over docker-compose.yml and these overrides, with exactly these variables."""
    chosen = [part for file in ("docker-compose.yml", *files) for part in ("-f", file)]
    return subprocess.run(
        ["docker", "compose", *chosen, *words],
        cwd=REPO, env=clean_environment(**variables), capture_output=True, text=True, timeout=timeout_seconds, check=False,
    )  # fmt: skip


def main() -> int:
    """Build all images."""
    if missing := why_no_engine():
        print(f"no images were built: {missing}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        env_file = Path(folder) / ".env"
        chosen = [word for file in make_env_file(env_file) for word in ("-f", file)]
        command = ["docker", "compose", "--env-file", str(env_file), *chosen, "build", "--quiet"]
        return subprocess.run(command, cwd=REPO, env=clean_environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
