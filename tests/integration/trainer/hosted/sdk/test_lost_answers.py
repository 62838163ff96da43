"""An answer is lost, or is nonsense, at every request of a job: it is looked for, and never bought twice."""

from __future__ import annotations

from typing import Any

import pytest
from hosted_fakes.server import Fault, Reply
from integration.trainer.hosted.sdk.hosted_jobs import NewJob, assert_nothing_left, assert_one_result

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
