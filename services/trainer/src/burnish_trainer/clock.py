"""Where an attempt's time goes: loading the model and computing a reference are told apart from everything else before the first step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Phase = Literal["load", "reference"]


class Clock:
    """Started when the worker takes up an attempt. Not thread-safe: phases are the training thread's, one after the other."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._first_step: float | None = None
        self._seconds: dict[Phase, float] = {"load": 0.0, "reference": 0.0}

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """load: base weights and adapter into memory; reference: the reference's log-probabilities."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] += time.monotonic() - began

    def seconds(self, name: Phase) -> float:
        return self._seconds[name]

    def step_begins(self) -> None:
        """Called at every step; the first one counts."""
        if self._first_step is None:
            self._first_step = time.monotonic()

    @property
    def overhead_seconds(self) -> float:
        """Attempt taken up to first step (until now where there was none), without the phases."""
        until = self._first_step if self._first_step is not None else time.monotonic()
        return max(0.0, until - self._started - sum(self._seconds.values()))
