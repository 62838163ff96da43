"""The engine with real worker processes that follow a script: one test for each mechanism. unit/trainer/scheduler has the decisions."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from integration.trainer.queue.jobs import PREVIEW, claim, prepare
from integration.trainer.rpc.service import put_checkpoint
from integration.trainer.scheduler.bench import SCRIPT, WAIT_SECONDS, Bench, Start, stored_files, until
from sqlalchemy import text, update

from burnish.schemas.base import VersionRef
from burnish.schemas.training.job_state import JobState
from burnish_trainer.artifacts.checkpoints import stored_steps
from burnish_trainer.executors.assignment import Attempt
from burnish_trainer.executors.local import LocalExecutor
from burnish_trainer.queue.notifier import QUEUE
from burnish_trainer.queue.tables import JobRow


async def test_a_job_is_prepared_runs_and_succeeds(start: Start) -> None:
    bench = await start()
    job = await bench.ended("succeeds")
    assert (job.state, job.attempts, job.findings) == (JobState.SUCCEEDED, 1, PREVIEW.findings)
    assert job.adapter == VersionRef(name="succeeds", version="a" * 16)
    moves = [JobState.PENDING, JobState.PREPARING, JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED]
    assert bench.states(job.job_id) == moves
    assert bench.planner.asked == ["succeeds"]
    assert bench.repository.events_after(job.job_id, 0, 100)[-1].state is JobState.SUCCEEDED


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
    await until(lambda: kept() == wanted)


async def test_a_refused_job_fails_before_it_takes_a_device(start: Start) -> None:
    bench = await start()
    job = await bench.ended("refused")
    assert (job.state, job.attempts, job.start_time) == (JobState.FAILED, 0, None)
    assert job.error is not None
    assert job.error["code"] == "FAILED_PRECONDITION"
    assert "labels-masked: no token of 2 rows is trained (rows q1, q2)" in job.error["message"]
    assert job.error["metadata"]["codes"] == "labels-masked"
    assert bench.states(job.job_id) == [JobState.PENDING, JobState.PREPARING, JobState.FAILED]


async def test_a_preflight_that_cannot_run_is_tried_again_later(start: Start) -> None:
    bench = await start(retry_delay_seconds=0.2)
    job_id, other = bench.queue("unpreparable-once"), bench.queue("succeeds", priority=-1)
    first = await bench.until(other, lambda job: job.state is not JobState.PENDING or job.prepared)
    assert first.state is not JobState.FAILED
    job = await bench.until(job_id, lambda job: job.prepared)
    # An attempt counts as failed from its start until it succeeds; it may have begun by now.
    assert (job.failures, job.strikes, job.error) == (job.attempts, job.attempts, None)
    assert bench.messages(job_id) == ["preflight could not be run, again in 0.2 s: the object store does not answer"]


@pytest.mark.parametrize(
    ("script", "asked", "code", "message"),
    [
        ("unpreparable", 4, "UNAVAILABLE", "the object store does not answer"),
        ("defective", 2, "INTERNAL", "a defect of preflight"),
        ("vanished", 1, "NOT_FOUND", "does not exist any more"),
        ("absurd", 2, "RESOURCE_EXHAUSTED", "took longer than 600 s"),
    ],
)
async def test_failing_preflights_are_bounded(start: Start, script: str, asked: int, code: str, message: str) -> None:
    bench = await start(max_attempts=2, max_total_attempts=4)
    job = await bench.ended(script)
    assert (job.state, job.attempts, bench.planner.asked.count(script)) == (JobState.FAILED, 0, asked)
    assert job.error is not None
    assert job.error["code"] == code
    assert message in job.error["message"]


async def test_a_stopping_engine_does_not_wait_for_a_preflight(
    new_sqlite: Callable[[bool], str], tmp_path: Path
) -> None:
    bench = Bench(new_sqlite(True), tmp_path)
    task = asyncio.create_task(bench.engine.run())
    job_id = bench.queue("slow")
    await bench.until(job_id, lambda job: job.state is JobState.PREPARING and bool(bench.planner.asked))
    bench.engine.stop()
    await asyncio.wait_for(task, 5)
    job = bench.repository.get(job_id)
    assert (job.state, job.prepared, job.strikes) == (JobState.PENDING, False, 0)
    bench.planner.open.set()


@pytest.mark.parametrize("request_", ["cancel", "pause"])
async def test_a_job_that_is_cancelled_while_it_is_prepared_frees_preflight_for_others(
    start: Start, request_: str
) -> None:
    bench = await start(lease_seconds=300.0)
    job_id, other = bench.queue("slow"), bench.queue("succeeds")
    await bench.until(job_id, lambda job: job.state is JobState.PREPARING and bool(bench.planner.asked))
    bench.ask(request_, job_id)
    await bench.until(other, lambda job: job.state is JobState.SUCCEEDED)
    assert bench.planner.given_up == ["slow"]


async def test_a_paused_job_frees_its_device_and_goes_on_when_resumed(start: Start) -> None:
    bench = await start(stop_grace_seconds=10)
    job_id, other = bench.queue("waits"), bench.queue("succeeds")
    await bench.until(job_id, lambda job: job.progress is not None)
    marked = bench.ask("pause", job_id)
    assert (marked.state, marked.pause_requested) == (JobState.RUNNING, True)
    paused = await bench.until(job_id, lambda job: job.state is JobState.PAUSED)
    assert (paused.strikes, paused.attempts, paused.devices) == (0, 1, [])
    assert bench.messages(job_id) == ["checkpoint at step 1", "stopped after step 1"]
    await bench.until(other, lambda job: job.state is JobState.SUCCEEDED)
    bench.ask("resume", job_id)
    again = await bench.until(job_id, lambda job: job.attempts == 2 and job.state is JobState.RUNNING)
    assert bench.planner.asked == ["waits", "succeeds"], "what was prepared stays so"
    assert again.strikes == 1


async def test_a_request_is_seen_at_once_and_not_when_the_lease_is_renewed(start: Start) -> None:
    bench = await start(renew_seconds=60.0, lease_seconds=300.0)
    job_id = bench.queue("waits")
    await bench.until(job_id, lambda job: job.progress is not None)
    asked_at = time.monotonic()
    bench.ask("cancel", job_id)
    await bench.until(job_id, lambda job: job.state is JobState.CANCELLED)
    assert time.monotonic() - asked_at < 30, "the renewal would have come after 60 s"


async def test_a_pause_can_be_taken_back_while_the_worker_saves(start: Start) -> None:
    bench = await start(stop_grace_seconds=10)
    job_id = bench.queue("saves-slowly")
    await bench.until(job_id, lambda job: job.progress is not None)
    bench.ask("pause", job_id)
    await bench.until(job_id, lambda _: "saving" in bench.messages(job_id))
    bench.ask("resume", job_id)
    job = await bench.until(job_id, lambda job: job.attempts == 2)
    assert (JobState.PAUSED in bench.states(job_id), job.strikes) == (False, 1)


async def test_a_deadline_lets_the_worker_save_and_fails_the_job(start: Start, tmp_path: Path) -> None:
    bench = await start(stop_grace_seconds=10)
    job_id = bench.queue("waits", deadline=datetime.now(UTC) + timedelta(hours=1))
    await bench.until(job_id, lambda job: job.progress is not None)
    with bench.database.writing() as session:  # the hour is over
        session.execute(update(JobRow).values(deadline=datetime.now(UTC)))
    put_checkpoint(bench.store, job_id, tmp_path, 1, 0.5)
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert job.error is not None
    assert (job.state, job.error["code"]) == (JobState.FAILED, "DEADLINE_EXCEEDED")
    assert "stopped after step 1" in bench.messages(job_id)
    assert "trainer_state.json" in stored_files(bench.store, job_id, 1)


async def test_a_worker_that_lives_and_makes_no_progress_is_replaced(start: Start) -> None:
    bench = await start(heartbeat_timeout_seconds=60.0, step_timeout_seconds=0.5)
    job = await bench.ended("stalls")
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert re.search(
        r"attempt 1 ended, it made no progress for \d+ s \(training\) and was killed", str(bench.messages(job.job_id))
    )


async def test_a_worker_without_a_heartbeat_is_replaced(start: Start) -> None:
    bench = await start(heartbeat_timeout_seconds=0.5, max_attempts=1)
    job = await bench.ended("hangs")
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.error is not None
    assert "showed no life for" in job.error["message"]


async def test_a_poisoned_job_does_not_starve_others(start: Start) -> None:
    bench = await start(retry_delay_seconds=30)
    poisoned = bench.queue("crashes", priority=100)
    await bench.until(poisoned, lambda job: job.not_before is not None)
    for _ in range(2):
        job = await bench.ended("succeeds")
        assert job.state is JobState.SUCCEEDED
    waiting = bench.repository.get(poisoned)
    assert (waiting.state, waiting.attempts, waiting.devices) == (JobState.PENDING, 1, [])


async def test_a_defect_over_one_job_is_bounded_and_spares_others(start: Start) -> None:
    bench = await start(max_attempts=2)
    job_id = bench.queue("defeats-the-engine", priority=1)
    other = await bench.ended("succeeds")
    assert other.state is JobState.SUCCEEDED
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert job.error is not None
    assert (job.state, job.error["reason"]) == (JobState.FAILED, "INTERNAL")
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
    taken = await bench.until(both, lambda job: job.state is JobState.RUNNING)
    assert sorted(taken.devices) == ["cuda:0", "cuda:1"]
    bench.ask("cancel", both)
    await bench.until(after, lambda job: job.state is JobState.SUCCEEDED)


async def test_more_devices_than_there_are_is_a_refusal(start: Start) -> None:
    bench = await start()
    job = await bench.until(bench.queue("succeeds", device_count=3), lambda job: job.state.ended)
    assert job.error is not None
    assert "device_count: 3 are wanted and this trainer has 1" in job.error["message"]


async def test_a_crash_is_followed_by_another_attempt(start: Start) -> None:
    bench = await start()
    job = await bench.ended("crashes-once")
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert bench.messages(job.job_id) == ["attempt 1 ended, SIGKILL: RuntimeError: as scripted"]
    steps = [event.metrics.step for event in bench.repository.events_after(job.job_id, 0, 100) if event.metrics]
    assert steps == [1, 2]


async def test_a_refusal_is_not_retried(start: Start) -> None:
    job = await (await start()).ended("refuses")
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.error is not None
    assert job.error["reason"] == "PRECONDITION"


async def test_a_job_that_was_too_big_is_prepared_anew_and_trained_smaller(start: Start) -> None:
    bench = await start()
    job_id = bench.queue("too-big", retry_smaller=True)
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts, job.error) == (JobState.SUCCEEDED, 2, None)
    assert (job.spec.optimizer.batch_size, job.spec.retry_smaller) == (1, False)
    assert bench.planner.asked == ["too-big", "too-big"]
    assert "attempt 1 failed: out of memory, as scripted" in bench.messages(job_id)
    assert "batch of 1" in bench.messages(job_id)


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
    assert job.state is JobState.CANCELLED
    assert time.monotonic() - began < 10
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_a_worker_that_cannot_be_started_counts_as_an_attempt(start: Start, tmp_path: Path) -> None:
    bench = await start()
    (tmp_path / "jobs").write_text("in the way of the job folders")
    job = await bench.ended("succeeds")
    assert job.error is not None
    assert (job.state, job.attempts) == (JobState.FAILED, 3)
    assert "no worker could be started" in job.error["message"]


async def test_stopping_lets_workers_save_and_queues_their_jobs(start: Start) -> None:
    bench = await start(stop_grace_seconds=10)
    job_id = bench.queue("waits")
    await bench.until(job_id, lambda job: job.progress is not None)
    bench.engine.stop()
    job = await bench.until(job_id, lambda job: job.state is JobState.PENDING)
    assert job.strikes == 0
    assert "stopped after step 1" in bench.messages(job_id)


async def test_a_new_engine_reads_the_events_that_a_killed_one_left(
    start: Start, new_sqlite: Callable[[bool], str], tmp_path: Path
) -> None:
    """The former engine died after the worker's success was on disk and before it was read."""
    url = new_sqlite(True)
    bench = Bench(url, tmp_path)
    job_id = bench.queue("succeeds")
    assert prepare(bench.repository)
    assert claim(bench.repository)
    attempt = bench.repository.start_attempt(job_id, "engine-a", 0.0)
    executor = LocalExecutor(tmp_path, tmp_path, (), {}, command=(sys.executable, str(SCRIPT)))
    worker = executor.start(Attempt(job_id=job_id, attempt=1, spec=attempt.spec), ["cpu"])
    worker.process.wait(timeout=WAIT_SECONDS)
    worker.kill()
    bench = await start(url)
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


async def test_a_locked_database_is_waited_for_and_logged(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    bench = await start()
    job_id = bench.queue("steps-on")
    await bench.until(job_id, lambda job: job.progress is not None)
    with bench.database.writing() as session:  # as a backup tool may do it
        session.execute(text("SELECT 1"))
        (bench.folder / "go").touch()
        await until(lambda: "another process has held the queue's database locked" in caplog.text)
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


async def test_jobs_run_side_by_side_up_to_the_limit(start: Start) -> None:
    bench = await start(workers=2)
    jobs = [bench.queue("waits") for _ in range(3)]
    for job_id in jobs[:2]:
        await bench.until(job_id, lambda job: job.progress is not None)
    third = await bench.until(jobs[2], lambda job: job.prepared)  # prepared while the device is busy
    for _ in range(3):  # looks of the engine, each of which would claim it
        bench.notifier.notify(QUEUE)
        await bench.engine_has_looked()
    third = bench.repository.get(jobs[2])
    assert (third.state, third.attempts) == (JobState.PENDING, 0)


async def test_a_deadline_ends_a_job_that_does_not_run_yet(start: Start) -> None:
    bench = await start()
    job_id = bench.queue("slow", deadline=datetime.now(UTC) + timedelta(hours=1))
    await bench.until(job_id, lambda job: job.state is JobState.PREPARING)
    with bench.database.writing() as session:  # the hour is over
        session.execute(update(JobRow).values(deadline=datetime.now(UTC)))
    bench.notifier.notify(QUEUE)
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert (job.state, job.attempts, (job.error or {})["code"]) == (JobState.FAILED, 0, "DEADLINE_EXCEEDED")
    await until(lambda: bench.planner.given_up == ["slow"])


async def test_a_pause_reaches_a_job_that_is_being_prepared(start: Start) -> None:
    bench = await start()
    job_id, other = bench.queue("slow"), bench.queue("succeeds")
    await bench.until(job_id, lambda job: job.state is JobState.PREPARING)
    assert bench.ask("pause", job_id).state is JobState.PAUSED
    bench.planner.open.set()
    await bench.until(other, lambda job: job.state.ended)
    assert bench.repository.get(job_id).state is JobState.PAUSED


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


async def test_each_way_to_end_is_counted_once(start: Start) -> None:
    bench = await start(max_attempts=2)

    def value(name: str, **labels: str) -> float | None:
        return bench.metrics.registry.get_sample_value(f"burnish_trainer_{name}", labels)

    for script in ("succeeds", "crashes-once", "refuses", "refused"):
        await bench.ended(script)
    late = bench.queue("succeeds", device_count=1)
    await bench.until(late, lambda job: job.state.ended)

    def ended(state: str) -> float | None:
        return value("jobs_ended_total", state=state, method="sft")

    assert (ended("succeeded"), ended("failed"), ended("cancelled")) == (3, 2, None)
    assert value("attempts_total", method="sft") == 5
    assert value("restarts_total", method="sft") == 1
    assert value("preparation_seconds_count", result="passed") == 4
    assert value("preparation_seconds_count", result="refused") == 1
