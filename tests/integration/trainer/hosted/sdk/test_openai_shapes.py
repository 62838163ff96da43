"""Servers of OpenAI's shape that differ from it: whole jobs, deaths and lost answers at each, and what each alone says."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hosted_fakes.openai_shapes import AzureShape, NebiusShape
from hosted_fakes.server import FakeServer, Fault, serving
from integration.trainer.hosted.sdk.hosted_jobs import (
    HostedJob,
    NewJob,
    assert_nothing_left,
    assert_one_result,
    connect_to,
)
from integration.trainer.hosted.sdk.test_deaths import calls_of_a_run, dies
from integration.trainer.hosted.sdk.test_lost_answers import LOST

from burnish.errors import InvalidInputError
from burnish.schemas.training.hosted import PROVIDERS
from burnish_trainer.executors.events import Succeeded
from burnish_trainer.hosted.provider import Provider
from burnish_trainer.hosted.providers import connect

CREATE = {AzureShape: "POST /openai/v1/fine_tuning/jobs$", NebiusShape: NebiusShape.create}


@pytest.fixture(params=CREATE, ids=lambda shape: shape.__name__)
def fake_kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_whole_job(job: HostedJob) -> None:
    assert_one_result(job, job.run())
    assert len(job.fake.contents) == 2, "nothing was uploaded twice"
    assert_nothing_left(job)


def test_a_death_at_every_step_is_gone_on_from(new_job: NewJob) -> None:
    for at in product(range(len(calls_of_a_run(new_job))), (False, True)):
        job = new_job()
        dies(job, at)
        assert_one_result(job, job.run())
        assert_nothing_left(job)


@pytest.mark.parametrize("lost", LOST, ids=str)
def test_every_lost_answer_to_the_job_is_looked_for(new_job: NewJob, fake_kind: Any, lost: dict[str, Any]) -> None:
    job = new_job()
    job.server.faults = [Fault(CREATE[fake_kind], **lost)]
    final = job.run()
    job.server.settle()
    assert_one_result(job, final)
    assert_nothing_left(job)


def test_a_job_waits_until_its_files_are_read_in(tmp_path: Path) -> None:
    with serving(AzureShape()) as server:
        job = HostedJob(server, tmp_path)
        assert isinstance(job.run(), Succeeded)
        assert server.times(CREATE[AzureShape]) == 1
        assert any("is still reading file-" in note for note in job.notes)


def test_a_file_that_cannot_be_read_in_is_told_in_the_servers_words(tmp_path: Path) -> None:
    with serving(AzureShape()) as server:
        job = HostedJob(server, tmp_path)
        job.fake.unreadable = "line 3: no role"
        with pytest.raises(InvalidInputError, match="the rows are invalid: line 3: no role"):
            job.run()
        assert_nothing_left(job)
        assert job.fake.paid == []


def test_only_openais_own_models_expire(tmp_path: Path, server: FakeServer) -> None:
    """At the address that it usually has."""
    job = HostedJob(server, tmp_path)
    job.run()
    assert job.record is not None
    assert expiry(connect_to(server), job) is None
    assert expiry(connect("openai", {"OPENAI_API_KEY": "sk-1"}), job) == PROVIDERS["openai"].answers_until


def expiry(provider: Provider, job: HostedJob) -> Any:
    assert job.record is not None
    found = provider.result(job.record).expires_at
    provider.close()
    return found
