"""The `burnish` command as a user runs it: at 80 columns, with nothing of this environment's BURNISH_ variables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]
BURNISH = Path(sys.executable).with_name("burnish")


def command(**variables: str) -> Run:
    """run("runs", "ls", cwd=…) runs `burnish runs ls` with these variables and returns what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BURNISH_")}
    environment |= {"COLUMNS": "80", "NO_COLOR": "1", **variables}

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
