"""The type of the `burnish` and `stack` fixtures: run the command with these words, get what it printed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]
