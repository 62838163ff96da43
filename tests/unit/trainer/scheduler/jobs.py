"""A job as the queue would hand it out, and a policy, for tests of decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from unit.trainer.made import job_spec

from burnish.schemas.base import VersionRef
from burnish.schemas.training.job_state import JobState
from burnish_trainer.queue.jobs import Job
from burnish_trainer.scheduler.policy import Policy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = Policy(
    workers=1,
    max_attempts=3,
    max_total_attempts=100,
    retry_delay_seconds=2.0,
    retry_delay_max_seconds=300.0,
    heartbeat_timeout_seconds=120.0,
    step_timeout_seconds=600.0,
    phase_timeout_seconds=1800.0,
    cancel_grace_seconds=5.0,
    stop_grace_seconds=60.0,
    lease_seconds=30.0,
    keep_checkpoints="all",
)


def policy(**changes: Any) -> Policy:
    return replace(POLICY, **changes)


def job(**changes: Any) -> Job:
    """A job that runs its first attempt."""
    counts = dict.fromkeys(("event_offset", "last_sequence", "priority"), 0)
    unset = dict.fromkeys(Job.model_fields) | {"cancel_requested": False, "pause_requested": False, "prepared": True}
    known = {
        "job_id": "job-1",
        "spec": job_spec(VersionRef(name="colours", version="0" * 16)),
        "state": JobState.RUNNING,
        "create_time": NOW,
        "attempts": 1,
        "strikes": 1,
        "failures": 1,
        "labels": {},
        "findings": [],
        "devices": ["cpu"],
        "overhead_seconds": 0.0,
        "released": False,
    }
    return Job.model_validate(unset | counts | known | changes)
