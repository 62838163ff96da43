"""One hosted job over a store in memory and a fake provider, step by step, and ways to let it die at each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hosted_fakes.openai_tuning import OpenAITuning as FakeOpenAI
from hosted_fakes.server import FakeServer
from unit.trainer.made import dpo_rows, job_spec, put_dataset, sft_rows

from burnish.objectstores.memory import MemoryObjectStore
from burnish_trainer.executors.events import Event, Note
from burnish_trainer.hosted.provider import Provider
from burnish_trainer.hosted.providers import connect
from burnish_trainer.hosted.record import Record, RecordFile, first_record
from burnish_trainer.hosted.rows import RowFiles
from burnish_trainer.hosted.run import HostedRun, Outside, Pace
from burnish_trainer.hosted.steps import Goal

PATIENCE = 100
JOB = "job-0123456789abcdef"
PACE = Pace(poll_seconds=5.0, longest_poll_seconds=60.0, settle_seconds=10.0)


class Died(BaseException):
    """The process is gone; nothing of ours catches it."""


class Mortal:
    """Stands before a provider or a record: dies at the call of that number, before or after it took effect. Counts all calls."""

    def __init__(self, inner: Any, clock: Clock, names: tuple[str, ...]) -> None:
        self._inner, self._clock, self._names = inner, clock, names

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._clock.counted(value) if name in self._names else value


class Clock:
    """Counts calls. dies_at: (number from 0, whether the call took effect)."""

    def __init__(self, dies_at: tuple[int, bool] | None = None) -> None:
        self.calls = 0
        self._dies_at = dies_at

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            number, self.calls = self.calls, self.calls + 1
            if self._dies_at == (number, False):
                raise Died
            answer = call(*arguments)
            if self._dies_at == (number, True):
                raise Died
            return answer

        return counted


CALLS = ("uploads", "upload", "has_upload", "discard", "create", "find", "poll", "cancel")


class HostedJob:
    """waits: seconds of every pause that it made."""

    def __init__(self, server: FakeServer, folder: Path, method: str = "sft") -> None:
        self.server = server
        self.folder = folder
        self.store = MemoryObjectStore()
        rows = dpo_rows if method == "dpo" else sft_rows
        hosted = {"provider": "openai", "model": "gpt-4.1-nano", "spend_limit_usd": 1}
        self.spec = job_spec(put_dataset(self.store, rows(12), rows(4, "v")), method=method, hosted=hosted)
        self.events: list[Event] = []
        self.waits: list[float] = []

    @property
    def fake(self) -> FakeOpenAI:
        answers = self.server.answers
        assert isinstance(answers, FakeOpenAI)
        return answers

    @property
    def record(self) -> Record | None:
        return RecordFile(self.store, JOB).read()

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Note)]

    def provider(self, token: str | None = None) -> Provider:
        base = f"{self.server.url}/v1"
        return connect("openai", {"OPENAI_API_KEY": token or self.fake.token, "OPENAI_BASE_URL": base})

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        assert len(self.waits) < PATIENCE, self.notes

    def run(
        self,
        goal: Goal = "train",
        clock: Clock | None = None,
        token: str | None = None,
        pause: Callable[[float], None] | None = None,
    ) -> Event | None:
        """One attempt; its pauses take no time."""
        clock = clock or Clock()
        file: Any = Mortal(RecordFile(self.store, JOB), clock, ("write",))
        assert self.spec.hosted is not None
        rows = RowFiles(self.store, self.spec, self.spec.hosted, self.folder / "rows")
        with contextlib.closing(self.provider(token)) as real:
            provider: Any = Mortal(real, clock, CALLS)

            def begin() -> Record:
                return first_record(JOB, "openai", provider.endpoint, rows.request(provider), datetime.now(UTC))

            wait = pause or self._wait
            outside = Outside(begin, rows.of, self.events.append, wait, lambda _phase: None, PACE)
            return HostedRun(provider, file, outside).to(goal)
