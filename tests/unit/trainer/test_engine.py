"""The engine with real worker processes that follow a script: every way a job can end, and what a killed engine leaves."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text, update
from unit.trainer.made import job_spec
from unit.trainer.test_repository import PREVIEW, claim, prepare
from unit.trainer.test_rpc import put_checkpoint

from burnish.errors import NotFoundError, UnavailableError
from burnish.layout import checkpoint
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import VersionRef
from burnish.schemas.job import JobSpec
from burnish.schemas.tuning import Finding
from burnish_trainer.artifacts.checkpoints import stored_steps
from burnish_trainer.executors.local import LocalExecutor, LocalWorker
from burnish_trainer.preflight.types import Preview
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.jobs import Job, State
from burnish_trainer.queue.notifier import QUEUE, News
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.queue.tables import JobRow
from burnish_trainer.scheduler.engine import Engine
from burnish_trainer.scheduler.policy import EnginePolicy

SCRIPT = Path(__file__).with_name("scripted_worker.py")
WAIT_SECONDS = 60.0  # a shared machine may take long to start a process


class ScriptedPlanner:
    """Finds what the job's adapter_name says, after as long as it says; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = threading.Event()

    def preview(self, spec: JobSpec, deadline: datetime | None = None) -> Preview:
        self.asked.append(spec.adapter_name)
        match spec.adapter_name:
            case "refused":
                finding = Finding(
                    code="labels-masked",
                    severity="refusal",
                    message="no token of 2 rows is trained",
                    question_ids=["q1", "q2"],
                    count=2,
                )
                return PREVIEW.model_copy(update={"findings": [finding], "estimate": None})
            case "unpreparable":
                raise UnavailableError("the object store does not answer")
            case "unpreparable-once" if self.asked.count(spec.adapter_name) == 1:
                raise UnavailableError("the object store does not answer")
            case "vanished":
                raise NotFoundError("dataset colours does not exist any more")
            case "defective":
                raise ZeroDivisionError("a defect of preflight")
            case "slow":
                assert self.open.wait(WAIT_SECONDS)
        return PREVIEW


class Starter(LocalExecutor):
    """Starts scripted workers; has a defect that one script meets."""

    def start(self, job: Job, devices: Sequence[str]) -> LocalWorker:
        if job.spec.adapter_name == "defeats-the-engine":
            raise ZeroDivisionError("a defect of the executor")
        return super().start(job, devices)


class Bench:
    """A queue, an engine over it, and ways to look at both."""

    def __init__(self, folder: Path, devices: Sequence[str] = ("cpu",), **policy: Any) -> None:
        self.database = Database(f"sqlite:///{folder / 'queue.db'}", busy_timeout_seconds=0.05)
        self.database.migrate()
        self.repository = JobRepository(self.database)
        self.store = MemoryObjectStore()
        self.news = News()
        self.folder = folder
        self.planner = ScriptedPlanner()
        self.devices = devices
        self.policy = EnginePolicy(**{"retry_delay_seconds": 0.01, "poll_seconds": 0.02, **policy})
        self.engine = self.make_engine()

    def make_engine(self, engine_id: str = "engine-a") -> Engine:
        executor = Starter(self.folder, self.folder, "cpu", {}, command=(sys.executable, str(SCRIPT)))
        return Engine(
            engine_id, self.repository, executor, self.planner, self.store, self.news, self.policy, self.devices
        )

    def queue(self, script: str, device_count: int = 1, **options: Any) -> str:
        dataset = VersionRef(name="colours", version="0" * 16)
        spec = job_spec(dataset, adapter_name=script, device_count=device_count)
        job_id = self.repository.create(spec, None, "digest", **options).job_id
        self.news.tell(QUEUE)
        return job_id

    def ask(self, request: str, job_id: str) -> Job:
        """cancel, pause or resume, as the servicer does it."""
        job: Job = getattr(self.repository, request)(job_id)
        self.news.tell(job_id)
        self.news.tell(QUEUE)
        return job

    def states(self, job_id: str) -> list[State]:
        return [event.state for event in self.repository.events_after(job_id, 0, 1000) if event.state]

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


def stored_files(store: MemoryObjectStore, job_id: str, step: int) -> list[str]:
    return sorted(info.key.rsplit("/", 1)[1] for info in store.list(checkpoint(job_id, step, "")))


Start = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start an engine under a policy; stopped when the test ends."""
    running: list[tuple[Bench, asyncio.Task[None]]] = []

    async def begin(**policy: Any) -> Bench:
        bench = Bench(tmp_path, **{"stop_grace_seconds": 0.2, **policy})
        running.append((bench, asyncio.create_task(bench.engine.run())))
        return bench

    yield begin
    for bench, task in running:
        bench.planner.open.set()
        bench.engine.stop()
        await task


async def test_a_job_is_prepared_runs_and_succeeds(start: Start) -> None:
    bench = await start()
    job = await bench.ended("succeeds")
    assert (job.state, job.attempts, job.findings) == (State.SUCCEEDED, 1, PREVIEW.findings)
    assert job.adapter == VersionRef(name="succeeds", version="a" * 16)
    moves = [State.PENDING, State.PREPARING, State.PENDING, State.RUNNING, State.SUCCEEDED]
    assert bench.states(job.job_id) == moves
    assert bench.planner.asked == ["succeeds"]
    assert bench.repository.events_after(job.job_id, 0, 100)[-1].state is State.SUCCEEDED


async def test_the_queue_takes_little_of_a_jobs_time(start: Start) -> None:
    """Accepted to prepared and claimed to worker started, behind nobody: the planner here takes none of it."""
    bench = await start()
    overheads = [(await bench.ended("succeeds")).overhead_seconds for _ in range(4)]
    assert 0 < min(overheads) < 0.5, overheads


@pytest.mark.parametrize(("keep", "left"), [("all", [1, 2]), ("best", [1]), ("none", [])])
async def test_checkpoints_of_an_ended_job_are_kept_as_asked(
    start: Start, tmp_path: Path, keep: str, left: list[int]
) -> None:
    bench = await start(keep_checkpoints=keep)
    job_id = bench.queue("slow")
    for step, loss in ((1, 0.5), (2, 0.9)):
        put_checkpoint(bench.store, job_id, tmp_path, step, loss)
    bench.planner.open.set()
    await bench.until(job_id, lambda job: job.state.ended)

    def kept() -> list[tuple[int, list[str]]]:
        return [(step, stored_files(bench.store, job_id, step)) for step in stored_steps(bench.store, job_id)]

    wanted = [(step, ["adapter_config.json", "adapter_model.safetensors", "manifest.json"]) for step in left]
    while kept() != wanted:
        await asyncio.sleep(0.02)


async def test_a_refused_job_fails_before_it_takes_a_device(start: Start) -> None:
    bench = await start()
    job = await bench.ended("refused")
    assert (job.state, job.attempts, job.start_time) == (State.FAILED, 0, None)
    assert job.error is not None
    assert job.error["code"] == "FAILED_PRECONDITION"
    assert "labels-masked: no token of 2 rows is trained (rows q1, q2)" in job.error["message"]
    assert job.error["metadata"]["codes"] == "labels-masked"
    assert bench.states(job.job_id) == [State.PENDING, State.PREPARING, State.FAILED]


async def test_a_preflight_that_cannot_run_is_tried_again_later(start: Start) -> None:
    bench = await start(retry_delay_seconds=0.2)
    job_id, other = bench.queue("unpreparable-once"), bench.queue("succeeds", priority=-1)
    first = await bench.until(other, lambda job: job.state is not State.PENDING or job.prepared)
    assert first.state is not State.FAILED
    job = await bench.until(job_id, lambda job: job.prepared)
    assert (job.failures, job.strikes, job.error) == (0, 0, None)
    assert bench.messages(job_id) == ["preflight could not be run, again in 0.2 s: the object store does not answer"]


@pytest.mark.parametrize(
    ("script", "asked", "code", "message"),
    [
        ("unpreparable", 4, "UNAVAILABLE", "the object store does not answer"),
        ("defective", 2, "INTERNAL", "a defect of preflight"),
        ("vanished", 1, "NOT_FOUND", "does not exist any more"),
    ],
)
async def test_failing_preflights_are_bounded(start: Start, script: str, asked: int, code: str, message: str) -> None:
    bench = await start(max_attempts=2, max_total_attempts=4)
    job = await bench.ended(script)
    assert (job.state, job.attempts, bench.planner.asked.count(script)) == (State.FAILED, 0, asked)
    assert job.error is not None
    assert job.error["code"] == code
    assert message in job.error["message"]


async def test_preparation_goes_on_while_the_device_is_busy(start: Start) -> None:
    bench = await start()
    busy, waiting = bench.queue("waits"), bench.queue("succeeds")
    await bench.until(busy, lambda job: job.progress is not None)
    job = await bench.until(waiting, lambda job: job.prepared)
    assert job.state is State.PENDING


async def test_a_stopping_engine_does_not_wait_for_a_preflight(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    task = asyncio.create_task(bench.engine.run())
    job_id = bench.queue("slow")
    await bench.until(job_id, lambda job: job.state is State.PREPARING and bool(bench.planner.asked))
    bench.engine.stop()
    await asyncio.wait_for(task, 5)
    job = bench.repository.get(job_id)
    assert (job.state, job.prepared, job.strikes) == (State.PENDING, False, 0)
    bench.planner.open.set()


@pytest.mark.parametrize(("request_", "state"), [("cancel", State.CANCELLED), ("pause", State.PAUSED)])
async def test_requests_reach_a_job_that_is_being_prepared(start: Start, request_: str, state: State) -> None:
    bench = await start()
    job_id, other = bench.queue("slow"), bench.queue("succeeds")
    await bench.until(job_id, lambda job: job.state is State.PREPARING)
    assert bench.ask(request_, job_id).state is state
    bench.planner.open.set()
    await bench.until(other, lambda job: job.state.ended)
    assert bench.repository.get(job_id).state is state


async def test_a_paused_job_frees_its_device_and_goes_on_when_resumed(start: Start) -> None:
    bench = await start(stop_grace_seconds=10)
    job_id, other = bench.queue("waits"), bench.queue("succeeds")
    await bench.until(job_id, lambda job: job.progress is not None)
    marked = bench.ask("pause", job_id)
    assert (marked.state, marked.pause_requested) == (State.RUNNING, True)
    paused = await bench.until(job_id, lambda job: job.state is State.PAUSED)
    assert (paused.strikes, paused.attempts, paused.devices) == (0, 1, [])
    assert bench.messages(job_id) == ["checkpoint at step 1", "stopped after step 1"]
    await bench.until(other, lambda job: job.state is State.SUCCEEDED)
    bench.ask("resume", job_id)
    again = await bench.until(job_id, lambda job: job.attempts == 2 and job.state is State.RUNNING)
    assert bench.planner.asked == ["waits", "succeeds"], "what was prepared stays so"
    assert again.strikes == 1


async def test_a_pause_can_be_taken_back_while_the_worker_saves(start: Start) -> None:
    bench = await start(stop_grace_seconds=10)
    job_id = bench.queue("saves-slowly")
    await bench.until(job_id, lambda job: job.progress is not None)
    bench.ask("pause", job_id)
    await bench.until(job_id, lambda _: "saving" in bench.messages(job_id))
    bench.ask("resume", job_id)
    job = await bench.until(job_id, lambda job: job.attempts == 2)
    assert (State.PAUSED in bench.states(job_id), job.strikes) == (False, 1)


async def test_a_worker_deaf_to_a_pause_is_killed_and_its_job_paused(start: Start) -> None:
    bench = await start(stop_grace_seconds=0.2)
    job_id = bench.queue("hangs")
    await bench.until(job_id, lambda _: bool(bench.messages(job_id)))
    bench.ask("pause", job_id)
    job = await bench.until(job_id, lambda job: job.state is State.PAUSED)
    assert (job.attempts, job.strikes) == (1, 0)


async def test_a_deadline_lets_the_worker_save_and_fails_the_job(start: Start, tmp_path: Path) -> None:
    bench = await start(stop_grace_seconds=10)
    job_id = bench.queue("waits", deadline=datetime.now(UTC) + timedelta(hours=1))
    await bench.until(job_id, lambda job: job.progress is not None)
    with bench.database.writing() as session:  # the hour is over
        session.execute(update(JobRow).values(deadline=datetime.now(UTC)))
    put_checkpoint(bench.store, job_id, tmp_path, 1, 0.5)
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert job.error is not None
    assert (job.state, job.error["code"]) == (State.FAILED, "DEADLINE_EXCEEDED")
    assert "stopped after step 1" in bench.messages(job_id)
    assert "trainer_state.json" in stored_files(bench.store, job_id, 1)


async def test_a_deadline_ends_a_job_that_still_waits(start: Start) -> None:
    bench = await start()
    busy = bench.queue("waits")
    await bench.until(busy, lambda job: job.progress is not None)
    job_id = bench.queue("succeeds", deadline=datetime.now(UTC) + timedelta(seconds=0.5))
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts, (job.error or {})["code"]) == (State.FAILED, 0, "DEADLINE_EXCEEDED")


async def test_a_worker_without_a_heartbeat_is_replaced(start: Start) -> None:
    bench = await start(heartbeat_timeout_seconds=0.5, max_attempts=1)
    job = await bench.ended("hangs")
    assert (job.state, job.attempts) == (State.FAILED, 1)
    assert job.error is not None
    assert "showed no life for" in job.error["message"]


async def test_a_poisoned_job_does_not_starve_others(start: Start) -> None:
    bench = await start(retry_delay_seconds=30)
    poisoned = bench.queue("crashes", priority=100)
    await bench.until(poisoned, lambda job: job.not_before is not None)
    for _ in range(2):
        job = await bench.ended("succeeds")
        assert job.state is State.SUCCEEDED
    waiting = bench.repository.get(poisoned)
    assert (waiting.state, waiting.attempts, waiting.devices) == (State.PENDING, 1, [])


async def test_back_off_doubles_up_to_its_limit(start: Start) -> None:
    policy = EnginePolicy(retry_delay_seconds=2, retry_delay_max_seconds=60)
    assert [policy.retry_after_seconds(failures) for failures in (1, 2, 3, 5, 6, 5000)] == [2, 4, 8, 32, 60, 60]


async def test_attempts_are_bounded_even_where_each_makes_progress(start: Start) -> None:
    job = await (await start(max_total_attempts=4)).ended("progresses")
    assert (job.state, job.attempts, job.strikes) == (State.FAILED, 4, 0)


async def test_a_defect_over_one_job_is_bounded_and_spares_others(start: Start) -> None:
    bench = await start(max_attempts=2)
    job_id = bench.queue("defeats-the-engine", priority=1)
    other = await bench.ended("succeeds")
    assert other.state is State.SUCCEEDED
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert job.error is not None
    assert (job.state, job.error["reason"]) == (State.FAILED, "INTERNAL")
    assert "the trainer failed over this job: ZeroDivisionError" in job.error["message"]


async def test_jobs_of_several_devices_wait_for_them_and_run_apart(start: Start) -> None:
    bench = await start(devices=("cuda:0", "cuda:1"))
    one = bench.queue("waits")
    await bench.until(one, lambda job: job.progress is not None)
    both, after = bench.queue("succeeds", device_count=2), bench.queue("succeeds")
    await bench.until(after, lambda job: job.prepared)
    assert bench.repository.get(one).devices == ["cuda:0"]
    assert {bench.repository.get(job_id).attempts for job_id in (both, after)} == {0}, "the head is not overtaken"
    bench.ask("cancel", one)
    taken = await bench.until(both, lambda job: job.state is State.RUNNING)
    assert sorted(taken.devices) == ["cuda:0", "cuda:1"]
    bench.ask("cancel", both)
    await bench.until(after, lambda job: job.state is State.SUCCEEDED)


async def test_more_devices_than_there_are_is_a_refusal(start: Start) -> None:
    bench = await start()
    job = await bench.until(bench.queue("succeeds", device_count=3), lambda job: job.state.ended)
    assert job.error is not None
    assert "device_count: 3 are asked for and this trainer has 1" in job.error["message"]


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


async def test_an_outage_is_retried_beyond_the_strikes_and_named_in_the_end(start: Start) -> None:
    job = await (await start(max_attempts=2, max_total_attempts=4)).ended("unavailable")
    assert (job.state, job.attempts, job.strikes) == (State.FAILED, 4, 1)
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
    bench.ask("cancel", job_id)
    began = time.monotonic()
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert job.state is State.CANCELLED
    assert time.monotonic() - began < 10
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_cancel_ends_a_job_that_waits_for_its_next_attempt(start: Start) -> None:
    bench = await start(retry_delay_seconds=60)
    job_id = bench.queue("crashes")
    await bench.until(job_id, lambda _: bool(bench.messages(job_id)))
    bench.ask("cancel", job_id)
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
    assert prepare(bench.repository)
    assert claim(bench.repository)
    attempt = bench.repository.start_attempt(job_id, "engine-a", 0.0)
    executor = LocalExecutor(tmp_path, tmp_path, "cpu", {}, command=(sys.executable, str(SCRIPT)))
    worker = executor.start(attempt, ["cpu"])
    worker.process.wait(timeout=WAIT_SECONDS)
    worker.kill()
    bench = await start()
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts) == (State.SUCCEEDED, 1)


async def test_a_locked_database_is_waited_for_and_said(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    bench = await start()
    job_id = bench.queue("steps-on")
    await bench.until(job_id, lambda job: job.progress is not None)
    with bench.database.writing() as session:  # as a backup tool may do it
        session.execute(text("SELECT 1"))
        (bench.folder / "go").touch()
        await asyncio.sleep(1)
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts) == (State.SUCCEEDED, 1)
    assert "another process has held the queue's database locked" in caplog.text


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
    while claim(bench.repository, "engine-b") is None:
        bench.repository.renew(job_id, "engine-a", -1)
    await asyncio.to_thread(worker.wait, WAIT_SECONDS)
    assert bench.repository.renew(job_id, "engine-b", 30).attempts == 1
