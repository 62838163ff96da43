"""The engine with real worker processes that follow a script: every way a job can end, and what a killed engine leaves."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from unit.trainer.made import job_spec

from burnish.layout import checkpoint
from burnish.objectstores.memory import MemoryObjectStore
from burnish_trainer.database import Database
from burnish_trainer.engine import Engine
from burnish_trainer.executors.local import LocalExecutor
from burnish_trainer.jobs import Job, State
from burnish_trainer.news import News
from burnish_trainer.policy import EnginePolicy
from burnish_trainer.repository import JobRepository
from burnish_trainer.spec import VersionRef

SCRIPT = Path(__file__).with_name("scripted_worker.py")
WAIT_SECONDS = 20.0


class Bench:
    """A queue, an engine over it, and ways to look at both."""

    def __init__(self, folder: Path, **policy: float) -> None:
        database = Database(f"sqlite:///{folder / 'queue.db'}")
        database.migrate()
        self.repository = JobRepository(database)
        self.store = MemoryObjectStore()
        self.news = News()
        self.folder = folder
        self.policy = EnginePolicy(**{"retry_delay_seconds": 0.01, "poll_seconds": 0.02, **policy})  # type: ignore[arg-type]
        self.engine = self.make_engine()

    def make_engine(self, engine_id: str = "engine-a") -> Engine:
        executor = LocalExecutor(self.folder, self.folder, "cpu", {}, command=(sys.executable, str(SCRIPT)))
        return Engine(engine_id, self.repository, executor, self.store, self.news, self.policy)

    def queue(self, script: str) -> str:
        spec = job_spec(VersionRef(name="colours", version="0" * 16), adapter_name=script)
        return self.repository.create(spec, None, "digest").job_id

    def messages(self, job_id: str) -> list[str]:
        return [event.message for event in self.repository.events_after(job_id, 0, 1000) if event.message]

    async def until(self, job_id: str, condition: Callable[[Job], bool]) -> Job:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition(job := self.repository.get(job_id)):
            assert time.monotonic() < deadline, f"{job} {self.messages(job_id)}"
            await asyncio.sleep(0.02)
        return job

    async def ended(self, script: str) -> Job:
        return await self.until(self.queue(script), lambda job: job.state.ended)


Start = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start an engine under a policy; stopped when the test ends."""
    running: list[tuple[Bench, asyncio.Task[None]]] = []

    async def begin(**policy: float) -> Bench:
        bench = Bench(tmp_path, **{"stop_grace_seconds": 0.2, **policy})
        running.append((bench, asyncio.create_task(bench.engine.run())))
        return bench

    yield begin
    for bench, task in running:
        bench.engine.stop()
        await task


async def test_a_job_succeeds_and_its_checkpoints_go(start: Start) -> None:
    bench = await start()
    job_id = bench.queue("succeeds")
    bench.store.put(checkpoint(job_id, 1, "optimizer.pt"), b"state")
    bench.store.put(checkpoint(job_id, 1), b"{}")
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts) == (State.SUCCEEDED, 1)
    assert job.adapter == VersionRef(name="succeeds", version="a" * 16)
    events = bench.repository.events_after(job_id, 0, 100)
    assert [event.state for event in events if event.state] == [State.PENDING, State.RUNNING, State.SUCCEEDED]
    assert events[-1].state is State.SUCCEEDED
    while list(bench.store.list("checkpoints/")):
        await asyncio.sleep(0.02)


async def test_a_crash_is_followed_by_another_attempt(start: Start) -> None:
    bench = await start()
    job = await bench.ended("crashes-once")
    assert (job.state, job.attempts) == (State.SUCCEEDED, 2)
    assert bench.messages(job.job_id) == ["attempt 1 ended, SIGKILL: RuntimeError: as scripted"]
    steps = [event.metrics.step for event in bench.repository.events_after(job.job_id, 0, 100) if event.metrics]
    assert steps == [1, 2]


async def test_attempts_without_progress_are_bounded(start: Start) -> None:
    job = await (await start()).ended("crashes")
    assert (job.state, job.attempts) == (State.FAILED, 3)
    assert job.error is not None
    assert "SIGKILL: RuntimeError: as scripted" in job.error["message"]


async def test_an_outage_is_retried_and_named_in_the_end(start: Start) -> None:
    job = await (await start()).ended("unavailable")
    assert (job.state, job.attempts) == (State.FAILED, 3)
    assert job.error is not None
    assert (job.error["reason"], job.error["message"]) == ("UNAVAILABLE", "scripted outage")


async def test_a_refusal_is_not_retried(start: Start) -> None:
    job = await (await start()).ended("refuses")
    assert (job.state, job.attempts) == (State.FAILED, 1)
    assert job.error is not None
    assert job.error["reason"] == "PRECONDITION"


async def test_attempts_that_reach_new_checkpoints_do_not_count(start: Start) -> None:
    job = await (await start()).ended("progresses")
    assert (job.state, job.attempts) == (State.SUCCEEDED, 6)


async def test_an_unreadable_event_fails_the_job(start: Start) -> None:
    job = await (await start()).ended("garbles")
    assert job.error is not None
    assert job.error["reason"] == "CORRUPT_DATA"


async def test_cancel_ends_a_hung_worker_and_its_children(start: Start) -> None:
    bench = await start(cancel_grace_seconds=0.3)
    job_id = bench.queue("hangs")
    await bench.until(job_id, lambda _: bool(bench.messages(job_id)))
    child = psutil.Process(int(bench.messages(job_id)[0].split()[1]))
    bench.repository.cancel(job_id)
    bench.news.tell(job_id)
    began = time.monotonic()
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert job.state is State.CANCELLED
    assert time.monotonic() - began < 3
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_cancel_ends_a_job_that_waits_for_its_next_attempt(start: Start) -> None:
    bench = await start(retry_delay_seconds=60)
    job_id = bench.queue("crashes")
    await bench.until(job_id, lambda _: bool(bench.messages(job_id)))
    bench.repository.cancel(job_id)
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts) == (State.CANCELLED, 1)


async def test_a_worker_that_cannot_be_started_counts_as_an_attempt(start: Start, tmp_path: Path) -> None:
    bench = await start()
    (tmp_path / "jobs").write_text("in the way of the job folders")
    job = await bench.ended("succeeds")
    assert job.error is not None
    assert (job.state, job.attempts) == (State.FAILED, 3)
    assert "no worker could be started" in job.error["message"]


async def test_stopping_lets_workers_save_and_queues_their_jobs(start: Start) -> None:
    bench = await start(stop_grace_seconds=10)
    job_id = bench.queue("waits")
    await bench.until(job_id, lambda job: job.progress is not None)
    bench.engine.stop()
    job = await bench.until(job_id, lambda job: job.state is State.PENDING)
    assert job.strikes == 0
    assert "stopped after step 1" in bench.messages(job_id)


async def test_a_new_engine_takes_in_what_a_killed_one_left(start: Start, tmp_path: Path) -> None:
    """The former engine died after the worker's success was on disk and before it was read."""
    bench = Bench(tmp_path)
    job_id = bench.queue("succeeds")
    assert bench.repository.claim("engine-a", (), 30)
    attempt = bench.repository.start_attempt(job_id, "engine-a")
    executor = LocalExecutor(tmp_path, tmp_path, "cpu", {}, command=(sys.executable, str(SCRIPT)))
    worker = executor.start(attempt)
    worker.process.wait(timeout=WAIT_SECONDS)
    worker.kill()
    bench = await start()
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts) == (State.SUCCEEDED, 1)


async def test_jobs_run_side_by_side_up_to_the_limit(start: Start) -> None:
    bench = await start(workers=2)
    jobs = [bench.queue("waits") for _ in range(3)]
    for job_id in jobs[:2]:
        await bench.until(job_id, lambda job: job.progress is not None)
    assert bench.repository.get(jobs[2]).state is State.PENDING


async def test_a_job_taken_by_another_engine_is_let_go(start: Start) -> None:
    """A trainer that slept through its lease must end its worker, not write into the job of its successor."""
    bench = await start()
    job_id = bench.queue("waits")
    await bench.until(job_id, lambda job: job.progress is not None)
    worker = next(p for p in psutil.process_iter(["cmdline"]) if job_id in " ".join(p.info["cmdline"] or ()))
    bench.repository.renew(job_id, "engine-a", -1)
    while bench.repository.claim("engine-b", (), 30) is None:
        bench.repository.renew(job_id, "engine-a", -1)
    await asyncio.to_thread(worker.wait, WAIT_SECONDS)
    assert bench.repository.renew(job_id, "engine-b", 30).attempts == 1
