"""A job dies at every call that it makes, before and after it took effect: never two paid jobs, never a forgotten one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.server import FakeServer, Fault, Reply
from integration.trainer.hosted.sdk.hosted_jobs import Clock, Died, HostedJob

from burnish_trainer.executors.events import Metrics, Succeeded

NewJob = Callable[[], HostedJob]


@pytest.fixture
def new_job(tmp_path: Path, request: pytest.FixtureRequest) -> NewJob:
    """Each with a provider of its own."""
    made = []

    def make() -> HostedJob:
        server = FakeServer(OpenAITuning())
        request.addfinalizer(server.close)
        made.append(HostedJob(server, tmp_path / str(len(made))))
        return made[-1]

    return make


def calls_of_a_run(new_job: NewJob) -> int:
    clock = Clock()
    assert isinstance(new_job().run(clock=clock), Succeeded)
    return clock.calls


def dies(job: HostedJob, at: tuple[int, bool]) -> None:
    with pytest.raises(Died):
        job.run(clock=Clock(at))


def assert_one_result(job: HostedJob, final: object) -> None:
    assert isinstance(final, Succeeded)
    assert final.remote_model is not None
    (paid,) = job.fake.paid
    assert final.remote_model.model == job.fake.jobs[paid]["fine_tuned_model"]
    assert job.record is not None
    assert job.record.remote_id == paid


def assert_nothing_left(job: HostedJob) -> None:
    assert job.run("release") is None
    assert job.fake.running == []
    assert job.fake.files == {}
    assert len(job.fake.paid) <= 1


def test_a_run_that_nobody_disturbs(job: HostedJob) -> None:
    final = job.run()
    assert_one_result(job, final)
    asked = job.server.asked
    assert asked.count("POST /v1/fine_tuning/jobs") == 1
    sent = job.fake.jobs[job.fake.paid[0]]
    assert sent["method"] == {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": 4}}}
    assert (sent["model"], sent["suffix"], sent["seed"]) == ("gpt-4.1-nano", "colours", 0)
    assert len(job.fake.contents[sent["training_file"]].splitlines()) == 12
    assert len(job.fake.contents[sent["validation_file"]].splitlines()) == 4
    assert [event.step for event in job.events if isinstance(event, Metrics)] == [1, 2, 3]
    assert "running (openai says hibernating)" in job.notes
    assert_nothing_left(job)
    assert job.fake.paid == [sent["id"]]


def test_preference_pairs_go_as_dpo(openai_server: object, tmp_path: Path) -> None:
    job = HostedJob(openai_server, tmp_path, method="dpo")  # type: ignore[arg-type]
    assert_one_result(job, job.run())
    sent = job.fake.jobs[job.fake.paid[0]]
    assert sent["method"]["dpo"]["hyperparameters"]["beta"] == 0.1
    assert b"non_preferred_output" in job.fake.contents[sent["training_file"]]


def test_a_death_at_every_step_is_gone_on_from(new_job: NewJob) -> None:
    for at in product(range(calls_of_a_run(new_job)), (False, True)):
        job = new_job()
        dies(job, at)
        assert_one_result(job, job.run())
        assert_nothing_left(job)


def test_a_death_at_every_step_is_cleaned_up_after(new_job: NewJob) -> None:
    for at in product(range(calls_of_a_run(new_job)), (False, True)):
        job = new_job()
        dies(job, at)
        assert_nothing_left(job)


def test_a_second_death_while_the_first_is_cleaned_up_after(new_job: NewJob) -> None:
    create = 7  # the calls around the one that costs money
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


@pytest.mark.timeout(600)
@pytest.mark.parametrize("keeps_metadata", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "reset"},
        {"action": "reset", "when": "before"},
        {"action": "reply"},
        {"action": "reply", "when": "before"},
        {"action": "reply", "reply": Reply(200, b"<html>not ours</html>")},
        {"action": "reply", "reply": Reply(200, {})},
        {"action": "reply", "reply": Reply(409, {"error": {"message": "busy with it"}})},
        {"action": "reply", "reply": Reply(502, b"bad gateway"), "times": 3},
        {"action": "reset", "when": "before", "late": 0.15},
    ],
    ids=str,
)
def test_every_lost_answer_is_looked_for(new_job: NewJob, fault: dict[str, object], keeps_metadata: bool) -> None:
    undisturbed = new_job()
    undisturbed.run()
    for number in range(len(undisturbed.server.asked)):
        job = new_job()
        job.fake.keeps_metadata = keeps_metadata
        job.server.faults = [Fault("", skip=number, **fault)]  # type: ignore[arg-type]
        final = job.run()
        job.server.settle()
        assert_one_result(job, final)
        assert_nothing_left(job)
