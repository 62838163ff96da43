"""An answer is lost, or is nonsense, at every request of a job: it is looked for, and never bought twice."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hosted_fakes.server import FakeServer, Fault, Reply
from integration.trainer.hosted.sdk.hosted_jobs import HostedJob, NewJob, assert_nothing_left, assert_one_result

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


def test_an_answer_that_is_too_slow_is_a_lost_one(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each SDK gives up by the limit that it was given, and does not ask again by itself."""
    job = HostedJob(server, tmp_path)
    provider = import_module(f"burnish_trainer.hosted.providers.{job.fake.provider}")
    monkeypatch.setattr(provider, "TIMEOUT_SECONDS", 0.5)
    server.faults = [Fault(job.fake.create, seconds=1.5)]
    assert_one_result(job, job.run())
    assert server.times(job.fake.create) == 1
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
