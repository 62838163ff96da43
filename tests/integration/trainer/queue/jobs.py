"""Jobs in a queue, in every state, by their usual way there; and races for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from unit.trainer.made import job_spec

from burnish.errors import InternalError
from burnish.schemas.base import VersionRef
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.job_state import JobState
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement
from burnish_trainer.executors.events import Metrics, Succeeded
from burnish_trainer.preflight.types import Preview, Workload
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.repository import JobRepository

SPEC = job_spec(VersionRef(name="colours", version="0" * 16))
ADAPTER = VersionRef(name="colours", version="1" * 16)
RACERS = 8
ENGINE = "engine-a"
CPU = ("cpu",)
PREVIEW = Preview(
    findings=[
        Finding(code="length-bias", severity="warning", message="chosen is longer", question_ids=["q1"], count=1)
    ],
    workload=Workload(
        steps=9,
        rows=18,
        padded_tokens=900,
        trained_tokens=300,
        heaviest_step_tokens=120,
        longest_row_tokens=60,
        evaluations=2,
        evaluation_tokens=100,
        evaluation_heaviest_tokens=60,
        reference_tokens=0,
    ),
    estimate=RunEstimate(
        seconds=12.0, load_seconds=2.0, peak_memory_bytes=10**9, disk_bytes=10**6, steps=9, tokens=900, basis="test"
    ),
    kind="kind-1",
)
MEASURED = RunMeasurement(seconds=11.0, load_seconds=2.0, peak_memory_bytes=10**9, tokens=900, queue_seconds=0.4)


def race(action: Callable[[int], Any], racers: int = RACERS) -> list[Any]:
    """Run the action in so many threads at once; returns what each got."""
    start = Barrier(racers)

    def run(number: int) -> Any:
        start.wait()
        return action(number)

    with ThreadPoolExecutor(racers) as pool:
        return list(pool.map(run, range(racers)))


def pending(repository: JobRepository, spec: JobSpec = SPEC, **options: Any) -> Job:
    """A job that waits for its preparation."""
    return repository.create(spec, None, "digest", **options)


def prepare(repository: JobRepository, engine: str = ENGINE, active: Sequence[str] = ()) -> Job | None:
    """Take the next job through its preparation."""
    job = repository.claim_preparation(engine, active, 30)
    return repository.prepared(job.job_id, engine, PREVIEW, None) if job else None


def ready(repository: JobRepository, spec: JobSpec = SPEC, **options: Any) -> Job:
    """A job that waits for a device."""
    made = pending(repository, spec, **options)
    assert prepare(repository) is not None
    return repository.get(made.job_id)


def claim(
    repository: JobRepository, engine: str = ENGINE, active: Sequence[str] = (), free: Sequence[str] = CPU
) -> Job | None:
    return repository.claim_device(engine, active, free, max(1, len(free)), 30)


def running(repository: JobRepository, engine: str = ENGINE) -> Job:
    """A job whose first worker has been started."""
    ready(repository)
    job = claim(repository, engine)
    assert job is not None
    return repository.start_attempt(job.job_id, engine, 0.0)


def again(repository: JobRepository, job: Job) -> Job:
    """The job's next attempt, after one that failed."""
    repository.requeue(job.job_id, ENGINE)
    assert claim(repository) is not None
    return repository.start_attempt(job.job_id, ENGINE, 0.0)


def say(repository: JobRepository, job: Job, *events: Any, size: int = 10) -> Job:
    return repository.ingest(job.job_id, ENGINE, events, job.event_offset, job.event_offset + size)


def states(repository: JobRepository, job_id: str) -> list[JobState]:
    return [event.state for event in repository.events_after(job_id, 0, 1000) if event.state]


def metrics(step: int, loss: float, **fields: Any) -> Metrics:
    return Metrics(step=step, total_steps=9, epoch=step / 3, train_loss=loss, **fields)


def take_all(take: Callable[[list[str]], Job | None]) -> list[Job]:
    """Take jobs until there are none; a race lost on the way to the head is not the end of the line."""
    taken: list[Job] = []
    misses = 0
    while misses < 3:
        job = take([job.job_id for job in taken])
        if job is None:
            misses += 1
            time.sleep(0.02)
        else:
            taken.append(job)
    return taken


def in_state(repository: JobRepository, state: JobState) -> Job:
    """A job in the state, by its usual way there."""
    if state is JobState.PENDING:
        return ready(repository)
    if state is JobState.PREPARING:
        pending(repository)
        job = repository.claim_preparation(ENGINE, (), 30)
        assert job is not None
        return job
    if state is JobState.PAUSED:
        return repository.pause(ready(repository).job_id)
    job = running(repository)
    match state:
        case JobState.SUCCEEDED:
            return say(repository, job, Succeeded(adapter=ADAPTER))
        case JobState.FAILED:
            return repository.end(job.job_id, ENGINE, JobState.FAILED, InternalError("broken"))
        case JobState.CANCELLED:
            return repository.end(job.job_id, ENGINE, JobState.CANCELLED)
        case _:
            return job


def pages(repository: JobRepository, **filters: Any) -> list[str]:
    """All jobs, two a page."""
    seen: list[str] = []
    before = None
    while page := repository.newest([], 2, before, **filters):
        seen += [job.job_id for job in page]
        before = (page[-1].create_time, page[-1].job_id)
    return seen
