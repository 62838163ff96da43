"""The engine and serving's device: real worker processes that follow a script, and a serving that follows another one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from integration.trainer.queue.jobs import PREVIEW
from integration.trainer.scheduler.bench import Start, until

from burnish.errors import UnavailableError
from burnish.schemas.device import DeviceStatus, LeaseAnswer, LeaseRequest
from burnish.schemas.training.job_state import JobState


@dataclass
class ScriptedServing:
    """burnish_trainer.serving.Serving. busy: asks that are answered with a wait before one is granted."""

    busy: int = 0
    is_needed: bool = True
    is_away: bool = False
    takes_back: bool = False
    other: str | None = None
    holder: str | None = None
    asked: list[LeaseRequest] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def ask(self, request: LeaseRequest) -> LeaseAnswer:
        self._check()
        self.asked.append(request)
        if not self.is_needed:
            return self._answer(needed=False, granted=False)
        if self.takes_back or self.other or self.busy > 0:
            self.busy -= 1
            self.holder = self.other or request.holder
            return self._answer(needed=True, granted=False)
        if self.holder != request.holder or self.log[-1:] != [f"lend {request.holder}"]:
            self.log.append(f"lend {request.holder}")
        self.holder = request.holder
        return self._answer(needed=True, granted=True)

    def give_back(self, holder: str) -> None:
        self._check()
        if self.holder == holder:
            self.log.append(f"back {holder}")
            self.holder = None

    def status(self) -> DeviceStatus:
        self._check()
        phase = "asleep" if self.holder and self.busy <= 0 else "draining"
        return DeviceStatus(sharing="sleep", devices=["cpu:this"], phase=phase, holder=self.holder)

    def _answer(self, *, needed: bool, granted: bool) -> LeaseAnswer:
        return LeaseAnswer(needed=needed, granted=granted, device=self.status())

    def _check(self) -> None:
        if self.is_away:
            raise UnavailableError("the inference service at http://x does not answer")


@pytest.fixture
def serving() -> ScriptedServing:
    return ScriptedServing()


async def test_a_job_has_the_device_while_its_worker_runs(start: Start, serving: ScriptedServing) -> None:
    serving.busy = 2
    bench = await start(serving=serving)
    job = await bench.ended("succeeds")
    assert job.state is JobState.SUCCEEDED
    await until(lambda: serving.holder is None)
    assert serving.log == [f"lend {job.job_id}", f"back {job.job_id}"]
    assert PREVIEW.estimate is not None
    assert serving.asked[0] == LeaseRequest(
        holder=job.job_id,
        devices=["cpu:this"],
        size_bytes=PREVIEW.estimate.peak_memory_bytes,
        ttl_seconds=bench.policy.device_lease_seconds,
    )
    waited, lent = bench.messages(job.job_id)[:2]
    assert waited == "waits for cpu: vLLM is asked to leave it, since the job does not fit beside it"
    assert lent.startswith("serving has lent cpu after ")
    assert lent.endswith("vLLM is asleep")


async def test_a_job_that_fits_beside_serving_goes_ahead(start: Start, serving: ScriptedServing) -> None:
    serving.is_needed = False
    bench = await start(serving=serving)
    job = await bench.ended("succeeds")
    assert (job.state, serving.log, len(serving.asked)) == (JobState.SUCCEEDED, [], 1)
    assert not any("serving" in message for message in bench.messages(job.job_id))


@pytest.mark.parametrize("script", ["crashes", "refuses"])
async def test_a_job_that_fails_gives_the_device_back_after_each_attempt(
    start: Start, serving: ScriptedServing, script: str
) -> None:
    bench = await start(serving=serving, max_attempts=2)
    job = await bench.ended(script)
    await until(lambda: serving.holder is None)
    assert job.state is JobState.FAILED
    assert serving.log == [f"lend {job.job_id}", f"back {job.job_id}"] * job.attempts


@pytest.mark.parametrize(("request_", "state"), [("pause", JobState.PAUSED), ("cancel", JobState.CANCELLED)])
async def test_a_paused_or_cancelled_job_gives_the_device_back(
    start: Start, serving: ScriptedServing, request_: str, state: JobState
) -> None:
    bench = await start(serving=serving)
    job_id = bench.queue("waits")
    await bench.until(job_id, lambda job: job.progress is not None)
    bench.ask(request_, job_id)
    await bench.until(job_id, lambda job: job.state is state)
    assert serving.holder is None
    assert serving.log == [f"lend {job_id}", f"back {job_id}"]


@pytest.mark.parametrize(("request_", "state"), [("pause", JobState.PAUSED), ("cancel", JobState.CANCELLED)])
async def test_a_job_that_waits_for_the_device_can_be_paused_and_cancelled(
    start: Start, serving: ScriptedServing, request_: str, state: JobState
) -> None:
    serving.busy = 10**9
    bench = await start(serving=serving)
    job_id = bench.queue("waits")
    await until(lambda: serving.holder == job_id)
    bench.ask(request_, job_id)
    job = await bench.until(job_id, lambda job: job.state is state)
    assert (job.attempts, job.strikes, serving.holder) == (0, 0, None)


async def test_a_stopping_trainer_gives_the_device_back(start: Start, serving: ScriptedServing) -> None:
    bench = await start(serving=serving)
    job_id = bench.queue("waits")
    await bench.until(job_id, lambda job: job.progress is not None)
    bench.engine.stop()
    job = await bench.until(job_id, lambda job: job.state is JobState.PENDING)
    assert (job.strikes, serving.holder) == (0, None)


async def test_a_job_waits_for_another_job_and_for_a_service_that_is_away(
    start: Start, serving: ScriptedServing
) -> None:
    serving.is_away = True
    bench = await start(serving=serving)
    job_id = bench.queue("succeeds")
    await until(lambda: "does not answer" in "".join(bench.messages(job_id)))
    serving.other, serving.is_away = "job-of-another", False
    await until(lambda: "waits for cpu: job job-of-another has it" in "".join(bench.messages(job_id)))
    assert bench.repository.get(job_id).attempts == 0
    serving.other = None
    job = await bench.until(job_id, lambda job: job.state.ended)
    assert job.state is JobState.SUCCEEDED
    assert len(bench.messages(job_id)) == 3, "each reason is said once"


async def test_a_worker_leaves_before_an_unrenewed_lease_ends(start: Start, serving: ScriptedServing) -> None:
    """The inference service goes away for good: the worker saves, the attempt does not count, and the job waits."""
    bench = await start(serving=serving, device_lease_seconds=4.0, kill_seconds=0.5)
    job_id = bench.queue("waits")
    await bench.until(job_id, lambda job: job.progress is not None)
    serving.is_away = True
    away_at = time.monotonic()
    await until(lambda: "stopped after step 1" in bench.messages(job_id))
    assert time.monotonic() - away_at > 1.0, "half the time of the lease is no reason to panic"
    assert any("serving did not renew" in message for message in bench.messages(job_id))
    await until(lambda: bench.messages(job_id)[-1].endswith("does not answer"))
    job = bench.repository.get(job_id)
    assert (job.state, job.attempts, job.strikes) == (JobState.RUNNING, 1, 0)
    bench.ask("cancel", job_id)
    await bench.until(job_id, lambda job: job.state.ended)


async def test_a_worker_on_a_device_that_was_taken_back_ends_at_once(start: Start, serving: ScriptedServing) -> None:
    bench = await start(serving=serving, device_lease_seconds=2.4, stop_grace_seconds=60.0)
    job_id = bench.queue("hangs")  # deaf to SIGTERM
    await bench.until(job_id, lambda job: job.progress is not None)
    serving.takes_back = True
    await until(lambda: any("serving did not renew" in message for message in bench.messages(job_id)))
    await bench.until(job_id, lambda job: job.strikes == 0)
    assert serving.log == [f"lend {job_id}", f"back {job_id}"]
    bench.ask("cancel", job_id)
    await bench.until(job_id, lambda job: job.state.ended)
