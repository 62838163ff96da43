"""One embedded stack for all end-to-end tests, started and ended the way a user does it: `burnish up`, `burnish down`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.command import Run

BURNISH = Path(sys.executable).with_name("burnish")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e2e") / ".burnish"


@pytest.fixture(scope="session")
def burnish(home: Path) -> Run:
    """burnish("runs", "ls", cwd=…) runs the command as a user would, at 80 columns, and returns what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BURNISH_")}
    environment |= {"BURNISH_HOME": str(home), "COLUMNS": "80", "NO_COLOR": "1"}

    def run(*words: str, cwd: Path | None = None, timeout_seconds: float = 900) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BURNISH), *words],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def stack(burnish: Run) -> Iterator[Run]:
    """The whole stack, vLLM included, up for the session; `down` at the end must succeed."""
    started = burnish("up", timeout_seconds=400)
    assert started.returncode == 0, started.stdout + started.stderr
    yield burnish
    ended = burnish("down", timeout_seconds=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
