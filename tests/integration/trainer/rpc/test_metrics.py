"""The trainer's metrics: the queue's depth, what workers report, and the page over HTTP."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
from certificate_making import Authority
from integration.trainer.queue.jobs import pending, ready, running
from unit.trainer.made import job_spec

from burnish.errors import PreconditionError, UnavailableError
from burnish.schemas.base import VersionRef
from burnish.schemas.training.job_state import JobState
from burnish.service.certificates import ServerCertificate
from burnish_trainer.executors.events import CheckpointSaved, Metrics, Note, Referenced
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.rpc.metrics_server import MetricsPage, serving

TOKEN = "the-token"
ALLOWED = {"Authorization": f"Bearer {TOKEN}"}


def value(metrics: TrainerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"burnish_trainer_{name}", labels)


def test_the_queues_depth_is_what_the_database_has(repository: JobRepository) -> None:
    metrics = TrainerMetrics()
    metrics.watch_queue(repository.count_open)
    assert value(metrics, "queue_jobs", state="pending") == 0
    running(repository)
    ready(repository)
    waits = pending(repository)
    repository.cancel(pending(repository).job_id)
    repository.pause(waits.job_id)
    depth = {state: value(metrics, "queue_jobs", state=state.value) for state in JobState}
    assert depth == {
        JobState.PENDING: 1, JobState.PREPARING: 0, JobState.RUNNING: 1, JobState.PAUSED: 1,
        JobState.SUCCEEDED: None, JobState.FAILED: None, JobState.CANCELLED: None,
    }  # fmt: skip


def test_a_database_that_is_away_shows_no_empty_queue() -> None:
    def away() -> dict[JobState, int]:
        raise UnavailableError("the queue's database does not answer")

    metrics = TrainerMetrics()
    metrics.watch_queue(away)
    assert value(metrics, "queue_jobs", state="pending") is None
    assert value(metrics, "queue_jobs", state="running") is None


def test_what_a_worker_says_is_counted_once(repository: JobRepository) -> None:
    metrics, job = TrainerMetrics(), running(repository)
    step = Metrics(step=1, total_steps=2, epoch=0.5, train_loss=1.0, step_seconds=0.3, tokens=120)
    judged = Metrics(step=1, total_steps=2, epoch=0.5, validation_loss=1.0)
    metrics.reported(
        job, [step, judged, step.model_copy(update={"step": 2}), step.model_copy(update={"repeated": True})]
    )
    metrics.reported(job, [Referenced(cached=True), Referenced(cached=False), Note(message="a line")])
    metrics.reported(job, [CheckpointSaved(step=2, message="checkpoint at step 2")])
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


async def test_the_page_wants_the_token_and_is_all_there_is() -> None:
    page = MetricsPage(TrainerMetrics().registry, TOKEN)
    with serving(page, "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(trust_env=False) as caller:
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
        with pytest.raises(PreconditionError, match="BURNISH_TRAINER_METRICS_PORT"), serving(page, "127.0.0.1", port):
            pass
    async with httpx.AsyncClient(trust_env=False) as caller:
        with pytest.raises(httpx.ConnectError):
            await caller.get(f"{url}/metrics", headers=ALLOWED)


def test_no_port_serves_nothing() -> None:
    with serving(MetricsPage(TrainerMetrics().registry, TOKEN), "127.0.0.1", None) as port:
        assert port is None


async def test_a_slow_scrape_does_not_hold_up_the_servers_loop() -> None:
    """The queue is asked on another thread than that of the RPCs and the engine."""
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> dict[JobState, int]:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(5)
        return {JobState.PENDING: 7}

    metrics = TrainerMetrics()
    metrics.watch_queue(slow)
    with serving(MetricsPage(metrics.registry, TOKEN), "127.0.0.1", 0) as port:
        async with httpx.AsyncClient(trust_env=False, headers=ALLOWED) as caller:
            scrape = asyncio.create_task(caller.get(f"http://127.0.0.1:{port}/metrics"))
            await asyncio.wait([scrape], timeout=0.1)
            assert not scrape.done()
            gate.set()
            assert 'burnish_trainer_queue_jobs{state="pending"} 7.0' in (await scrape).text


async def test_with_a_certificate_the_page_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusted = ssl.create_default_context(cafile=str(authority.ca))
    page = MetricsPage(TrainerMetrics().registry, TOKEN)
    with serving(page, "127.0.0.1", 0, ServerCertificate(*authority.issue("trainer"))) as port:
        async with httpx.AsyncClient(trust_env=False, verify=trusted, headers=ALLOWED) as caller:
            assert (await caller.get(f"https://127.0.0.1:{port}/metrics")).status_code == 200
