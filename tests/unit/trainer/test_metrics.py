"""The trainer's metrics: the queue's depth on both databases, what workers say, how jobs end, and the page over HTTP."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
from certificate_making import Authority
from unit.trainer.made import job_spec
from unit.trainer.test_engine import Start, start  # noqa: F401  # a fixture
from unit.trainer.test_repository import pending, ready, running

from burnish.certificates import DoorCertificate
from burnish.errors import PreconditionError, UnavailableError
from burnish.schemas.base import VersionRef
from burnish_trainer.executors.events import CheckpointSaved, Metrics, Note, Referenced
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.queue.jobs import State
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.rpc.metrics_server import MetricsPage, serving

TOKEN = "the-token"
ALLOWED = {"Authorization": f"Bearer {TOKEN}"}


def value(metrics: TrainerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"burnish_trainer_{name}", labels)


def test_the_queues_depth_is_what_the_database_has(repository: JobRepository) -> None:
    metrics = TrainerMetrics()
    metrics.watch_queue(repository.waiting_and_running)
    assert value(metrics, "queue_jobs", state="pending") == 0
    running(repository)
    ready(repository)
    waits = pending(repository)
    repository.cancel(pending(repository).job_id)
    repository.pause(waits.job_id)
    depth = {state: value(metrics, "queue_jobs", state=state.value) for state in State}
    assert depth == {
        State.PENDING: 1, State.PREPARING: 0, State.RUNNING: 1, State.PAUSED: 1,
        State.SUCCEEDED: None, State.FAILED: None, State.CANCELLED: None,
    }  # fmt: skip


def test_a_database_that_is_away_shows_no_empty_queue() -> None:
    def away() -> dict[State, int]:
        raise UnavailableError("the queue's database does not answer")

    metrics = TrainerMetrics()
    metrics.watch_queue(away)
    assert value(metrics, "queue_jobs", state="pending") is None
    assert value(metrics, "queue_jobs", state="running") is None


def test_what_a_worker_says_is_counted_once(repository: JobRepository) -> None:
    metrics, job = TrainerMetrics(), running(repository)
    step = Metrics(step=1, total_steps=2, epoch=0.5, train_loss=1.0, step_seconds=0.3, tokens=120)
    judged = Metrics(step=1, total_steps=2, epoch=0.5, validation_loss=1.0)
    metrics.said(job, [step, judged, step.model_copy(update={"step": 2}), step.model_copy(update={"repeated": True})])
    metrics.said(job, [Referenced(cached=True), Referenced(cached=False), Note(message="a line")])
    metrics.said(job, [CheckpointSaved(step=2, message="checkpoint at step 2")])
    assert value(metrics, "step_seconds_count", method="sft") == 2
    assert value(metrics, "step_seconds_sum", method="sft") == pytest.approx(0.6)
    assert value(metrics, "trained_tokens_total", method="sft") == 240
    assert value(metrics, "checkpoints_total", method="sft") == 1
    assert value(metrics, "reference_cache_total", result="hit") == 1
    assert value(metrics, "reference_cache_total", result="miss") == 1


def test_the_trace_of_the_call_that_queued_a_job_is_kept_with_it(repository: JobRepository) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"
    made = repository.create(job_spec(VersionRef(name="colours", version="0" * 16)), None, "digest", traceparent=parent)
    assert made.traceparent == repository.get(made.job_id).traceparent == parent
    assert pending(repository).traceparent is None


async def test_each_way_to_end_is_counted_once(start: Start) -> None:  # noqa: F811
    bench = await start(max_attempts=2)
    metrics = bench.engine._metrics
    for script in ("succeeds", "crashes-once", "refuses", "refused"):
        await bench.ended(script)
    late = bench.queue("succeeds", device_count=1)
    await bench.until(late, lambda job: job.state.ended)

    def ended(state: str) -> float | None:
        return value(metrics, "jobs_ended_total", state=state, method="sft")

    assert (ended("succeeded"), ended("failed"), ended("cancelled")) == (3, 2, None)
    assert value(metrics, "attempts_total", method="sft") == 5
    assert value(metrics, "restarts_total", method="sft") == 1
    assert value(metrics, "preparation_seconds_count", result="passed") == 4
    assert value(metrics, "preparation_seconds_count", result="refused") == 1


async def test_the_page_wants_the_token_and_is_all_there_is() -> None:
    page = MetricsPage(TrainerMetrics().registry, TOKEN)
    async with serving(page, "127.0.0.1", 0) as port, httpx.AsyncClient(trust_env=False) as caller:
        url = f"http://127.0.0.1:{port}"
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"bearer {TOKEN}"}):
            answer = await caller.get(f"{url}/metrics", headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        answer = await caller.get(f"{url}/metrics", headers=ALLOWED)
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "# TYPE burnish_trainer_step_seconds histogram" in answer.text
        assert "process_resident_memory_bytes" in answer.text
        assert "_created" not in answer.text
        for method, path in (("GET", "/"), ("POST", "/metrics")):
            assert (await caller.request(method, url + path, headers=ALLOWED)).status_code == 404
        with pytest.raises(PreconditionError, match="BURNISH_TRAINER_METRICS_PORT"):
            async with serving(page, "127.0.0.1", port):
                pass
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient(trust_env=False) as caller:
            await caller.get(f"{url}/metrics", headers=ALLOWED)


async def test_no_port_serves_nothing() -> None:
    async with serving(MetricsPage(TrainerMetrics().registry, TOKEN), "127.0.0.1", None) as port:
        assert port is None


async def test_a_slow_scrape_holds_up_no_other(tmp_path: Path) -> None:
    """The queue is asked from a thread: the engine's loop goes on."""
    open_gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> dict[State, int]:
        asyncio.run_coroutine_threadsafe(open_gate.wait(), loop).result(5)
        return {State.PENDING: 7}

    metrics = TrainerMetrics()
    metrics.watch_queue(slow)
    page = MetricsPage(metrics.registry, TOKEN)
    async with serving(page, "127.0.0.1", 0) as port, httpx.AsyncClient(trust_env=False, headers=ALLOWED) as caller:
        scrape = asyncio.create_task(caller.get(f"http://127.0.0.1:{port}/metrics"))
        assert (await caller.get(f"http://127.0.0.1:{port}/nothing")).status_code == 404
        assert not scrape.done()
        open_gate.set()
        assert 'burnish_trainer_queue_jobs{state="pending"} 7.0' in (await scrape).text


async def test_with_a_certificate_the_page_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusted = ssl.create_default_context(cafile=str(authority.ca))
    page = MetricsPage(TrainerMetrics().registry, TOKEN)
    async with (
        serving(page, "127.0.0.1", 0, DoorCertificate(*authority.issue("trainer"))) as port,
        httpx.AsyncClient(trust_env=False, verify=trusted, headers=ALLOWED) as caller,
    ):
        assert (await caller.get(f"https://127.0.0.1:{port}/metrics")).status_code == 200
