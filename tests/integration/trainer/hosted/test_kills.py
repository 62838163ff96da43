"""SIGKILL at every step of a hosted job, at every provider: never two paid jobs, never a forgotten one.

The four providers have a job each of one trainer, so that one kill of the trainer meets all of them at the same step.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from adapter_making import adapter_files, arrays_for
from hosted_fakes import FAKES
from hosted_fakes.server import FakeServer, Fault, serving
from hosted_python import find_hosted_python
from integration.trainer.hosted.secrets_scan import assert_no_secret
from integration.trainer.trainer_process import TrainerCalls, TrainerProcess, until
from unit.trainer.made import put_dataset, sft_rows

from burnish.adapters.base import BaseModel
from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

KILL_SECONDS = 120.0
TRAINED = {
    "worker": [("upload", "after"), ("create", "after")],
    "trainer": [("create", "before"), ("create", "after"), ("look", "after"), ("weights", "after")],
}
CANCELLED = [("cancel", "before"), ("cancel", "after"), ("discard", "after")]
DISCARD = "DELETE "  # of an uploaded file, at each of them
SETTINGS = {
    **{f"BURNISH_TRAINER_HOSTED_{name}_SECONDS": "0.2" for name in ("POLL", "LONGEST_POLL", "SETTLE")},
    "BURNISH_TRAINER_MAX_ATTEMPTS": "20",
    "BURNISH_TRAINER_WARM_WORKERS": "0",
}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, FakeServer]]:
    with ExitStack() as opened:
        yield {fake.provider: opened.enter_context(serving(fake())) for fake in FAKES}


@pytest.fixture(scope="module")
def running(
    servers: dict[str, FakeServer],
    store_environment: dict[str, str],
    tiny_base: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TrainerProcess]:
    folder = tmp_path_factory.mktemp("kills")
    environment = store_environment | SETTINGS | {"BURNISH_TRAINER_HOSTED_PYTHON": str(find_hosted_python())}
    for server in servers.values():
        environment |= server.answers.access(server.url, server.answers.token)  # type: ignore[attr-defined]
    trainer = TrainerProcess(folder, tiny_base, environment)
    trainer.start()
    yield trainer
    trainer.stop()
    assert trainer.worker_pids() == []


@pytest.fixture(scope="module")
def rows(trainer_store: S3ObjectStore) -> VersionRef:
    return put_dataset(trainer_store, sft_rows(12), sft_rows(4, "v"), name="killed")


class Kills:
    """A job at every provider, and the deaths that meet it. who: each job's own worker, or the trainer with all of them."""

    def __init__(self, running: TrainerProcess, servers: dict[str, FakeServer], tiny_base: Path, who: str) -> None:
        self.running, self.servers, self.who = running, servers, who
        self.jobs: dict[str, str] = {}
        self.deaths: dict[str, int] = {}
        linears = BaseModel.open(tiny_base).linears
        for fake, server in zip(FAKES, servers.values(), strict=True):
            server.answers, server.faults, server.asked = fake(), [], []
            server.answers.adapter = adapter_files(arrays=arrays_for(linears))  # type: ignore[attr-defined]

    def fake(self, provider: str) -> Any:
        return self.servers[provider].answers

    def create(self, calls: TrainerCalls, rows: VersionRef) -> None:
        for provider in self.servers:
            place = pb.HostedSpec(provider=provider, model=self.fake(provider).model, spend_limit_usd=1)
            accepted = ["price-unknown"]
            self.jobs[provider] = calls.create(rows, hosted=place, accepted_findings=accepted).job_id

    def arm(self, steps: list[tuple[str, str]]) -> None:
        """Deaths at these steps, in turn."""
        for provider, server in self.servers.items():
            server.victim = self._meet if self.who == "trainer" else lambda one=provider: self._worker_of(one)  # type: ignore[misc]
            server.faults = [
                Fault(name, when, "kill")  # type: ignore[arg-type]
                for step, when in steps
                if (name := DISCARD if step == "discard" else getattr(server.answers, step))
            ]
        self.deaths = {provider: len(server.faults) for provider, server in self.servers.items()}
        self._expect(0)

    def wait(self) -> None:
        """Until every death has happened."""
        if self.who == "trainer":
            for number in range(max(self.deaths.values())):
                assert self._met.wait(KILL_SECONDS), f"death {number}: not all jobs come to their step"
                self.process.wait(30)
                until(lambda: self.running.worker_pids() == [], 30)
                self._expect(number + 1)
                self.running.start()
        until(lambda: not any(fault.times for each in self.servers.values() for fault in each.faults), KILL_SECONDS)

    def _worker_of(self, provider: str) -> int:
        return self.running.worker_pids(self.jobs[provider])[0]

    def _expect(self, number: int) -> None:
        """That the jobs with so many deaths behind them, and one before them, come to their step; then the trainer is killed."""
        self._met = threading.Event()
        parties = sum(count > number for count in self.deaths.values())
        self._barrier = threading.Barrier(max(parties, 1), self._kill)

    def _kill(self) -> None:
        self.process.kill()
        self._met.set()

    def _meet(self) -> None:
        self._barrier.wait(KILL_SECONDS)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self.running.process is not None
        return self.running.process


@pytest.fixture
def calls(running: TrainerProcess) -> Iterator[TrainerCalls]:
    calls = running.call()
    yield calls
    calls.channel.close()


def released(calls: TrainerCalls, job_id: str) -> pb.TuningJob:
    until(lambda: calls.get(job_id).released, 90, f"{job_id} is not released")
    return calls.get(job_id)


@pytest.mark.parametrize("who", TRAINED)
def test_jobs_that_are_killed_at_every_step_are_bought_once(
    running: TrainerProcess,
    servers: dict[str, FakeServer],
    tiny_base: Path,
    calls: TrainerCalls,
    rows: VersionRef,
    trainer_store: S3ObjectStore,
    who: str,
) -> None:
    kills = Kills(running, servers, tiny_base, who)
    kills.arm(TRAINED[who])
    kills.create(calls, rows)
    kills.wait()
    for provider, job_id in kills.jobs.items():
        list(calls.watch(job_id))
        job, fake = released(calls, job_id), kills.fake(provider)
        assert job.state == pb.TuningJob.STATE_SUCCEEDED, job.error
        assert [job.remote_model.model] == [fake.tuned(paid) for paid in fake.paid], provider
        assert job.HasField("adapter") == bool(fake.weights)
        # a kill of the trainer meets a job that has no more steps to die at, too, if it has not ended by then
        assert kills.deaths[provider] < job.attempts <= max(kills.deaths.values()) + 1, provider
        assert fake.files == {}, provider
        assert_no_secret(running, fake.token, trainer_store)


def test_cancelled_jobs_are_ended_there_whoever_dies_meanwhile(
    running: TrainerProcess, servers: dict[str, FakeServer], tiny_base: Path, calls: TrainerCalls, rows: VersionRef
) -> None:
    kills = Kills(running, servers, tiny_base, "trainer")
    for provider in servers:
        kills.fake(provider).holds_at = kills.fake(provider).running_state
    kills.create(calls, rows)
    until(lambda: all(kills.fake(provider).paid for provider in servers), KILL_SECONDS)
    kills.arm(CANCELLED)
    for job_id in kills.jobs.values():
        calls.cancel(job_id)
    kills.wait()
    for provider, job_id in kills.jobs.items():
        assert released(calls, job_id).state == pb.TuningJob.STATE_CANCELLED
        fake = kills.fake(provider)
        assert (fake.running, fake.files, len(fake.paid)) == ([], {}, 1), provider
        assert fake.jobs[fake.paid[0]][fake.state_field] == fake.ends["cancelled"]
