"""Where an attempt's time goes, and that it goes on: loading the model and computing a reference apart from everything else
before the first step, and each bit of progress for the trainer to see."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

from burnish.telemetry.tracing import Tracing
from burnish_trainer.executors.assignment import Phase

Timed = Literal["load", "reference"]
SPANS: dict[Timed, str] = {"load": "load model", "reference": "reference pass"}
PHASES: dict[Timed, Phase] = {"load": "loading", "reference": "reference"}


class Clock:
    """Started when the worker takes up an attempt. Not thread-safe: phases are the training thread's, one after the other.

    tracing: phases become spans too, if it is given. progress: told of each phase that begins, and of each step in it.
    """

    def __init__(self, tracing: Tracing | None = None, progress: Callable[[Phase], None] = lambda _: None) -> None:
        self._tracing = tracing
        self.progress = progress
        self._started = time.monotonic()
        self._first_step: float | None = None
        self._seconds: dict[Timed, float] = {"load": 0.0, "reference": 0.0}

    @contextmanager
    def phase(self, name: Timed) -> Iterator[None]:
        """load: base weights and adapter into memory; reference: the reference's log-probabilities."""
        began = time.monotonic()
        self.progress(PHASES[name])
        try:
            with self._tracing.span(SPANS[name]) if self._tracing else nullcontext():
                yield
        finally:
            self._seconds[name] += time.monotonic() - began
            self.progress("starting")

    def seconds(self, name: Timed) -> float:
        return self._seconds[name]

    def step_begins(self) -> None:
        """Called at every step; the first one counts."""
        if self._first_step is None:
            self._first_step = time.monotonic()
            self.progress("first-step")

    @property
    def overhead_seconds(self) -> float:
        """Attempt taken up to first step (until now if there was none), without the phases."""
        until = self._first_step if self._first_step is not None else time.monotonic()
        return max(0.0, until - self._started - sum(self._seconds.values()))
