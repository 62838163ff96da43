"""The demo's steps on the screen: a heading each, and the seconds it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.rule import Rule

from burnish_client.cli.views import console


class Clock:
    """Numbers the steps, times them, and keeps the readings: `seconds` has a title and its duration a step, in order."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.seconds: dict[str, float] = {}
        self._started_at = time.monotonic()

    @property
    def total_seconds(self) -> float:
        return time.monotonic() - self._started_at

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A heading before the block and its duration after it; a step that raises has no duration."""
        out = console.out()
        number = len(self.seconds) + 1
        out.print()
        out.print(Rule(f"[bold]{number}/{self.steps}  {title}[/]", align="left", style="cyan"))
        started_at = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - started_at
        out.print(
            f"[dim]{console.duration(self.seconds[title])}; {console.duration(self.total_seconds)} since the start[/]"
        )
