"""A job dies at every call that it makes, before and after it took effect: never two paid jobs, never a forgotten one."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hosted_fakes.server import FakeServer
from integration.trainer.hosted.sdk.hosted_jobs import (
    Clock,
    Died,
    HostedJob,
    NewJob,
    assert_nothing_left,
    assert_one_result,
)

from burnish_trainer.executors.events import Metrics, Succeeded


def calls_of_a_run(new_job: NewJob) -> list[str]:
    clock = Clock()
    assert isinstance(new_job().run(clock=clock), Succeeded)
    return list(clock.names)


def dies(job: HostedJob, at: tuple[int, bool]) -> None:
    with pytest.raises(Died):
        job.run(clock=Clock(at))


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
