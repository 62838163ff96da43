"""A job dies at every call that it makes, before and after it took effect: never two paid jobs, never a forgotten one."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hosted_fakes.server import FakeServer, Fault, Reply
from integration.trainer.hosted.sdk.hosted_jobs import Clock, Died, HostedJob, connect_to

from burnish_trainer.executors.events import Metrics, Succeeded

NewJob = Callable[[], HostedJob]


@pytest.fixture
def new_job(fake_kind: Any, server: FakeServer, tmp_path: Path) -> Iterator[NewJob]:
    """Each with a provider that has nothing yet, in place of the one before."""
    numbers = itertools.count()
    with contextlib.closing(connect_to(server)) as connected:

        def make() -> HostedJob:
            server.answers, server.faults, server.asked = fake_kind(), [], []
            return HostedJob(server, tmp_path / str(next(numbers)), connected=connected)

        yield make


def calls_of_a_run(new_job: NewJob) -> list[str]:
    clock = Clock()
    assert isinstance(new_job().run(clock=clock), Succeeded)
    return clock.names


def dies(job: HostedJob, at: tuple[int, bool]) -> None:
    with pytest.raises(Died):
        job.run(clock=Clock(at))


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


def test_a_run_that_nobody_disturbs(job: HostedJob) -> None:
    assert_one_result(job, job.run())
    assert job.server.times(job.fake.create) == 1
    shown = [event.step for event in job.events if isinstance(event, Metrics) and event.series == "train"]
    assert shown == list(job.fake.steps)
    assert f"running ({job.fake.provider} says {job.fake.unknown_state})" in job.notes
    assert sorted(len(content.splitlines()) for content in job.fake.contents.values()) == [4, 12]
    assert_nothing_left(job)
    assert len(job.fake.paid) == 1


def test_preference_pairs_are_trained_on(server: FakeServer, tmp_path: Path) -> None:
    job = HostedJob(server, tmp_path, method="dpo")
    assert_one_result(job, job.run())
    assert any(job.fake.pair in content for content in job.fake.contents.values())


def test_a_death_at_every_step_is_gone_on_from(new_job: NewJob) -> None:
    for at in product(range(len(calls_of_a_run(new_job))), (False, True)):
        job = new_job()
        dies(job, at)
        assert_one_result(job, job.run())
        assert_nothing_left(job)


def test_a_death_at_every_step_is_cleaned_up_after(new_job: NewJob) -> None:
    for at in product(range(len(calls_of_a_run(new_job))), (False, True)):
        job = new_job()
        dies(job, at)
        assert_nothing_left(job)


def test_a_second_death_while_the_first_is_cleaned_up_after(new_job: NewJob) -> None:
    create = calls_of_a_run(new_job).index("create")  # the calls around the one that costs money
    for first, second in product(
        product(range(create - 2, create + 2), (False, True)), product(range(12), (False, True))
    ):
        job = new_job()
        dies(job, first)
        try:
            job.run("release", Clock(second))
        except Died:
            assert_nothing_left(job)
        else:
            break


LOST: list[dict[str, Any]] = [
    {"action": "reset"},
    {"action": "reset", "when": "before"},
    {"action": "reply"},
    {"action": "reply", "when": "before"},
    {"action": "reply", "reply": Reply(200, b"<html>not ours</html>")},
    {"action": "reply", "reply": Reply(200, {})},
    {"action": "reply", "reply": Reply(409, {"error": {"message": "busy with it"}, "file_id": "file-none"})},
    {"action": "reply", "reply": Reply(502, b"bad gateway"), "times": 3},
    {"action": "reset", "when": "before", "late": 0.15},
]


@pytest.mark.parametrize("keeps_own_id", [True, False])
@pytest.mark.parametrize("lost", LOST, ids=str)
def test_every_lost_answer_to_the_job_is_looked_for(new_job: NewJob, lost: dict[str, Any], keeps_own_id: bool) -> None:
    job = new_job()
    job.fake.keeps_own_id = keeps_own_id
    job.server.faults = [Fault(job.fake.create, **lost)]
    final = job.run()
    job.server.settle()
    assert_one_result(job, final)
    assert_nothing_left(job)


def test_every_other_lost_answer_changes_nothing(new_job: NewJob) -> None:
    """Each request of a run meets two of the faults, in turn."""
    undisturbed = new_job()
    undisturbed.run()
    for number in range(len(undisturbed.server.asked)):
        for lost in (LOST[2 * number % len(LOST)], LOST[(2 * number + 1) % len(LOST)]):
            job = new_job()
            job.server.faults = [Fault("", skip=number, **lost)]
            final = job.run()
            job.server.settle()
            assert_one_result(job, final)
            assert_nothing_left(job)
