"""Where an attempt's time goes: loading the model and computing a reference apart from everything else before the first step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

from burnish.telemetry.tracing import Tracing

Phase = Literal["load", "reference"]
SPANS: dict[Phase, str] = {"load": "load model", "reference": "reference pass"}


class Clock:
    """Started when the worker takes up an attempt. Not thread-safe: phases are the training thread's, one after the other.

    tracing: phases become spans too, if it is given.
    """

    def __init__(self, tracing: Tracing | None = None) -> None:
        self._tracing = tracing
        self._started = time.monotonic()
        self._first_step: float | None = None
        self._seconds: dict[Phase, float] = {"load": 0.0, "reference": 0.0}

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """load: base weights and adapter into memory; reference: the reference's log-probabilities."""
        began = time.monotonic()
        try:
            with self._tracing.span(SPANS[name]) if self._tracing else nullcontext():
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
        """Attempt taken up to first step (until now if there was none), without the phases."""
        until = self._first_step if self._first_step is not None else time.monotonic()
        return max(0.0, until - self._started - sum(self._seconds.values()))
