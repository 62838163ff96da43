"""One hosted job over a store in memory and a fake provider, step by step, and ways to let it die at each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapter_making import adapter_files, make_base
from hosted_fakes.server import FakeServer
from unit.trainer.made import dpo_rows, job_spec, put_dataset, sft_rows

from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import VersionRef
from burnish_trainer.executors.assignment import Attempt, Phase
from burnish_trainer.executors.events import Event, Found, Metrics, Note, Succeeded
from burnish_trainer.hosted.provider import Provider
from burnish_trainer.hosted.providers import connect
from burnish_trainer.hosted.record import Record, RecordFile, first_record
from burnish_trainer.hosted.rows import RowFiles
from burnish_trainer.hosted.run import HostedRun, Outside, Pace
from burnish_trainer.hosted.steps import Goal
from burnish_trainer.hosted.weights import Weights

PATIENCE = 100
JOB = "job-0123456789abcdef"
PACE = Pace(poll_seconds=5.0, longest_poll_seconds=60.0, settle_seconds=10.0, beat_seconds=0.05)


NewJob = Callable[[], "HostedJob"]


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
    """Counts calls. dies_at: (number from 0, whether the call took effect). names: of the calls, in order."""

    def __init__(self, dies_at: tuple[int, bool] | None = None) -> None:
        self.names: list[str] = []
        self._dies_at = dies_at

    @property
    def calls(self) -> int:
        return len(self.names)

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            number = len(self.names)
            self.names.append(call.__name__)
            if self._dies_at == (number, False):
                raise Died
            try:
                return call(*arguments)
            finally:
                if self._dies_at == (number, True):
                    raise Died

        return counted


CALLS = (
    "prepare",
    "uploads",
    "upload",
    "has_upload",
    "discard",
    "estimate",
    "create",
    "find",
    "poll",
    "cancel",
    "fetch",
)


def connect_to(server: FakeServer, token: str | None = None) -> Provider:
    fake: Any = server.answers
    return connect(fake.provider, fake.access(server.url, token or fake.token))


class HostedJob:
    """waits: seconds of every pause that it made; phases: of every sign of progress. server.answers: a fake, whose name and words the job takes.

    connected: a connection that attempts share, since making one takes most of their time; None: each has its own.
    """

    def __init__(
        self, server: FakeServer, folder: Path, method: str = "sft", connected: Provider | None = None, **spec: Any
    ) -> None:
        self.server = server
        self._connected = connected
        self.folder = folder
        self.store = MemoryObjectStore()
        rows = dpo_rows if method == "dpo" else sft_rows
        hosted = {"provider": self.fake.provider, "model": self.fake.model, "spend_limit_usd": 1}
        dataset = put_dataset(self.store, rows(12), rows(4, "v"))
        self.spec = job_spec(dataset, method=method, hosted=hosted, **spec)
        self.base = folder / "base"
        make_base(self.base)
        if self.fake.weights:
            self.fake.adapter = adapter_files(rank=8)
        self.events: list[Event] = []
        self.waits: list[float] = []
        self.phases: list[Phase] = []

    @property
    def fake(self) -> Any:
        return self.server.answers

    @property
    def record(self) -> Record | None:
        return RecordFile(self.store, JOB).read()

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Note)]

    @property
    def found(self) -> dict[str, str]:
        """Code -> message of the findings that it reported."""
        return {event.finding.code: event.finding.message for event in self.events if isinstance(event, Found)}

    def provider(self, token: str | None = None) -> Provider:
        return connect_to(self.server, token)

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
        attempt = Attempt(job_id=JOB, attempt=1, spec=self.spec)
        weights = Weights(self.store, attempt, self.base, self.folder / "adapter", self.events.append)
        with (
            contextlib.nullcontext(self._connected)
            if self._connected
            else contextlib.closing(self.provider(token)) as real
        ):
            provider: Any = Mortal(real, clock, CALLS)

            def begin() -> Record:
                return first_record(JOB, provider.name, provider.endpoint, rows.request(provider), datetime.now(UTC))

            def adopt(record: Record, metrics: Sequence[Metrics]) -> VersionRef | None:
                return weights.adopt(provider, record, metrics)

            wait = pause or self._wait
            outside = Outside(begin, rows.of, adopt, self.events.append, wait, self.phases.append, PACE, 1.0)
            return HostedRun(provider, file, outside).to(goal)


def assert_one_result(job: HostedJob, final: object) -> None:
    assert isinstance(final, Succeeded)
    assert final.remote_model is not None
    (paid,) = job.fake.paid
    assert final.remote_model.model == job.fake.tuned(paid)
    assert job.record is not None
    assert job.record.remote_id == paid
    assert bool(final.adapter) == bool(job.fake.weights)


def assert_nothing_left(job: HostedJob) -> None:
    assert job.run("release") is None
    assert job.fake.running == []
    assert job.fake.files == {}
    assert len(job.fake.paid) <= 1
