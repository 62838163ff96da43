"""A home of an embedded stack: the burnish command run in it as a user runs it, and which processes it still has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from burnish_client.cli import app as cli
from burnish_client.config.endpoints import ClientSettings


@dataclass(frozen=True)
class Home:
    """One state folder and the command that works in it."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BURNISH_")}
        return kept | {"BURNISH_HOME": str(self.path), "COLUMNS": "80"}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "burnish_client.cli", *words]

    def burnish(self, *words: str, timeout_seconds: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            cwd=self.path.parent,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.path.parent,
        )

    def json(self, *words: str) -> Any:
        done = self.burnish(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def state(self) -> dict[str, Any]:
        with suppress(FileNotFoundError):
            return dict(json.loads((self.path / "stack.json").read_text()))
        return {}

    def part(self, name: str) -> dict[str, Any]:
        return next(part for part in self.state()["parts"] if part["name"] == name)

    def settings(self) -> ClientSettings:
        return ClientSettings(home=self.path)

    def processes(self) -> list[str]:
        """Every process that was started with this home in its environment and still runs."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                if process.environ().get("BURNISH_HOME") == str(self.path):
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
        return found


class Here:
    """The burnish command run within this process, in the shared home."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        code = cli.run(list(words))
        printed = self._capsys.readouterr()
        return subprocess.CompletedProcess(words, code, printed.out, printed.err)

    def json(self, *words: str) -> Any:
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def until(condition: Callable[[], object], limit_seconds: float = 60.0) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)
