"""The burnish command as a process: what it imports, what it prints, and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from integration.client.homes import Home


def modules_after(code: str, **changes: str) -> set[str]:
    """The modules that are loaded once this code has run; it prints nothing itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    code += "\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept | changes)
    return set(done.stderr.split())


def test_importing_the_command_loads_nothing_heavy() -> None:
    heavy = {"httpx", "grpc", "numpy", "pyarrow", "scipy", "pydantic.main", "torch", "burnish_client.stack.supervisor"}
    assert heavy & modules_after("import burnish_client.cli.app") == set()


def test_a_command_that_exports_nothing_loads_no_opentelemetry() -> None:
    loaded = modules_after("from burnish_client.cli import app\napp.run(['jobs', '--help'])")
    assert [name for name in loaded if name.startswith("opentelemetry")] == []


@pytest.mark.parametrize("client", ["CuratorClient", "TrainerClient", "InferenceClient"])
def test_the_sdk_loads_no_command_line(client: str) -> None:
    loaded = modules_after(f"from burnish_client import {client}")
    # httpx loads rich and click itself if they are installed; import-linter holds that we do not import them.
    assert {"typer", "burnish_client.cli"} & loaded == set()
    assert ("grpc" in loaded) == (client == "TrainerClient"), "the HTTP clients start without gRPC"


def test_an_address_where_nobody_listens_is_named(tmp_path: Path) -> None:
    done = Home(tmp_path / "home").burnish("jobs", "ls", BURNISH_TRAINER_ADDRESS="127.0.0.1:9", BURNISH_TOKEN="t")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "trainer at 127.0.0.1:9 cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = Home(tmp_path / "home").burnish("runs", "ls", BURNISH_DEBUG="1")
    assert "Traceback" in done.stderr
    assert "PreconditionError" in done.stderr
