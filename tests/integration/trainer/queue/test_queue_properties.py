"""Whatever is done to the queue in whatever order: only legal moves, event numbers without a gap, no event ever changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from integration.trainer.queue.jobs import ADAPTER, MEASURED, PREVIEW, SPEC

from burnish.errors import InternalError, PreconditionError, UnavailableError
from burnish.schemas.training.job_state import JobState
from burnish_trainer.executors.events import CheckpointSaved, Event, Failed, Metrics, Note, Succeeded, Suspended
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.jobs import MOVES, Job, JobEvent
from burnish_trainer.queue.repository import JobRepository, LeaseLost

ENGINES = st.sampled_from(["engine-a", "engine-b"])
SAID: list[Event] = [
    Metrics(step=1, total_steps=3, epoch=0.3, train_loss=2.0),
    Metrics(step=1, total_steps=3, epoch=0.3, train_loss=1.0),
    Metrics(step=2, total_steps=3, epoch=0.6, train_loss=1.0, repeated=True),
    Note(message="a word"),
    CheckpointSaved(step=1, message="checkpoint at step 1"),
    Suspended(step=1),
    Succeeded(adapter=ADAPTER, measured=MEASURED),
    Failed(error=UnavailableError("outage").to_dict(), retry=True),
    Failed(error=PreconditionError("refused").to_dict(), retry=False),
]


class Queue(RuleBasedStateMachine):
    """Two engines, people who cancel and pause, and time that runs out, over one queue of a few jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.database = Database("sqlite://")  # in memory: nothing here is about the disk
        self.database.migrate()
        self.repository = JobRepository(self.database)
        self.jobs: list[str] = []
        self.told: dict[str, list[JobEvent]] = {}
        self.holders: dict[str, str] = {}  # job → the engine that claimed it last

    def teardown(self) -> None:
        for job_id, told in self.told.items():
            assert self.repository.events_after(job_id, 0, 10_000) == told, "an event was changed"
        self.database.close()

    def job(self, number: int) -> Job:
        return self.repository.get(self.jobs[number % len(self.jobs)])

    def not_held(self, job: Job, engine: str, *states: JobState) -> type[Exception] | None:
        """LeaseLost if a change by this engine must be refused."""
        return None if self.holders.get(job.job_id) == engine and job.state in states else LeaseLost

    @rule(request=st.sampled_from([None, "once", "twice"]), priority=st.integers(-100, 100))
    def create(self, request: str | None, priority: int) -> None:
        job = self.repository.create(SPEC, request, "digest", priority)
        if job.job_id not in self.jobs:
            self.jobs.append(job.job_id)

    @rule(engine=ENGINES, lease_seconds=st.sampled_from([30.0, -1.0]))
    def claim_preparation(self, engine: str, lease_seconds: float) -> None:
        job = self.repository.claim_preparation(engine, (), lease_seconds)
        if job is not None:
            self.holders[job.job_id] = engine

    @rule(engine=ENGINES, lease_seconds=st.sampled_from([30.0, -1.0]))
    def claim_device(self, engine: str, lease_seconds: float) -> None:
        job = self.repository.claim_device(engine, (), ("cpu",), 1, lease_seconds)
        if job is not None:
            self.holders[job.job_id] = engine
            assert job.devices == ["cpu"]
            self.repository.start_attempt(job.job_id, engine, 0.0)

    @precondition(lambda self: self.jobs)
    @rule(number=st.integers(0, 9), action=st.sampled_from(["cancel", "pause", "resume"]))
    def ask(self, number: int, action: str) -> None:
        job = self.job(number)
        legal = {
            "cancel": not job.state.ended,
            "pause": not job.state.ended and not job.cancel_requested,
            "resume": job.state is JobState.PAUSED or job.pause_requested,
        }
        with refused_with(None if legal[action] else PreconditionError):
            getattr(self.repository, action)(job.job_id)

    @precondition(lambda self: self.jobs)
    @rule(number=st.integers(0, 9), engine=ENGINES, refused=st.booleans())
    def prepared(self, number: int, engine: str, refused: bool) -> None:
        job = self.job(number)
        with refused_with(self.not_held(job, engine, JobState.PREPARING)):
            refusal = PreconditionError("refused") if refused else None
            self.repository.prepared(job.job_id, engine, PREVIEW, refusal)

    @precondition(lambda self: self.jobs)
    @rule(number=st.integers(0, 9), engine=ENGINES, said=st.lists(st.sampled_from(SAID), max_size=3))
    def ingest(self, number: int, engine: str, said: list[Event]) -> None:
        job = self.job(number)
        ends = sum(isinstance(event, Succeeded) or (isinstance(event, Failed) and not event.retry) for event in said)
        ended_twice = PreconditionError if ends > 1 else None
        with refused_with(self.not_held(job, engine, JobState.RUNNING) or ended_twice):
            self.repository.ingest(job.job_id, engine, said, job.event_offset, job.event_offset + len(said))

    @precondition(lambda self: self.jobs)
    @rule(number=st.integers(0, 9), engine=ENGINES, state=st.sampled_from(JobState))
    def end(self, number: int, engine: str, state: JobState) -> None:
        job = self.job(number)
        illegal = None if state in (JobState.FAILED, JobState.CANCELLED) else PreconditionError
        with refused_with(illegal or self.not_held(job, engine, JobState.PREPARING, JobState.RUNNING)):
            error = InternalError("ended") if state is JobState.FAILED else None
            self.repository.end(job.job_id, engine, state, error)

    @precondition(lambda self: self.jobs)
    @rule(
        number=st.integers(0, 9),
        engine=ENGINES,
        state=st.sampled_from(JobState),
        strikes=st.integers(-1, 1),
        delay_seconds=st.sampled_from([0.0, 60.0]),
    )
    def requeue(self, number: int, engine: str, state: JobState, strikes: int, delay_seconds: float) -> None:
        job = self.job(number)
        illegal = None if state in (JobState.PENDING, JobState.PAUSED) else PreconditionError
        with refused_with(illegal or self.not_held(job, engine, JobState.PREPARING, JobState.RUNNING)):
            self.repository.requeue(job.job_id, engine, state, "back", delay_seconds, strikes=strikes, failures=strikes)

    @rule()
    def expire(self) -> None:
        self.repository.expire()

    @invariant()
    def only_legal_moves_and_no_gaps(self) -> None:
        for job_id in self.jobs:
            told = self.told.setdefault(job_id, [])
            told += self.repository.events_after(job_id, len(told), 10_000)
            job = self.repository.get(job_id)
            assert [event.sequence for event in told] == list(range(1, job.last_sequence + 1))
            states = [event.state for event in told if event.state]
            assert states[0] is JobState.PENDING
            assert states[-1] is job.state
            assert all(after in MOVES[before] for before, after in pairwise(states))
            makes_sense(job)


def makes_sense(job: Job) -> None:
    """What holds of every job at any time."""
    assert job.state is JobState.RUNNING or not job.pause_requested, "a pause was lost"
    assert job.state is JobState.RUNNING or job.state.ended or not job.cancel_requested, "a cancel was lost"
    assert job.strikes >= 0
    assert job.failures >= 0
    assert (job.end_time is not None) == job.state.ended
    assert (job.error is not None) or job.state is not JobState.FAILED
    assert (job.adapter is not None) == (job.state is JobState.SUCCEEDED)
    assert bool(job.devices) == (job.state is JobState.RUNNING)


@contextmanager
def refused_with(error: type[Exception] | None) -> Iterator[None]:
    """The change must be refused with this error, and must be made if there is none."""
    if error is None:
        yield
    else:
        with pytest.raises(error):
            yield


Queue.TestCase.settings = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # shrinking a failure takes minutes, and its steps are few anyway
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestQueue = Queue.TestCase
