"""One run of vLLM: its guard process, the folder of its sockets, and the end of its log."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
TAIL_BYTES = 32 * 1024


@dataclass(frozen=True)
class Child:
    """A command under its guard, with a folder `sockets` that the guard makes and removes. Its output goes to log_path, which starts anew; the run before is kept as `<name>.1`."""

    _process: asyncio.subprocess.Process
    _log_path: Path
    _grace_seconds: float

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], sockets: Path, log_path: Path, grace_seconds: float
    ) -> Child:
        if log_path.exists():
            log_path.replace(log_path.with_name(log_path.name + ".1"))
        with log_path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(GUARD), str(grace_seconds), str(sockets), *command),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )
        return cls(process, log_path, grace_seconds)

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and everything it started: asked to first, killed after grace_seconds. Safe to call when it has ended."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), self._grace_seconds + 5)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def log_tail(self, lines: int = 30) -> str:
        """The last lines it wrote, without blank ones."""
        with self._log_path.open("rb") as log:
            log.seek(max(0, self._log_path.stat().st_size - TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
