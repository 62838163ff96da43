"""Migrations of the queue with rows in it, on both databases: nothing that users have is lost on the way up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text
from unit.trainer.made import job_spec

from burnish.schemas.base import VersionRef
from burnish.schemas.training.job_state import JobState
from burnish_trainer.executors.events import Metrics
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.repository import JobRepository

TIME = "2026-01-02 03:04:05+00:00"
OLD_JOBS = (("job-1", "succeeded"), ("job-2", "pending"), ("job-3", "running"))
NEW_FIELDS = ("use_rslora", "use_dora", "device_count", "accepted_findings")


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest) -> Database:
    """A queue as the first version left it: one job that has ended, one that waits, one that was running."""
    database = Database(request.getfixturevalue(f"new_{request.param}")(False))
    database.migrate("0001")
    with database.writing() as session:
        for job_id, state in OLD_JOBS:
            held = "'engine-a', :time" if state == "running" else "NULL, NULL"
            session.execute(
                text(
                    "INSERT INTO tuning_jobs (job_id, request_id, request_digest, spec, state, create_time, attempts, strikes,"
                    " event_offset, last_sequence, cancel_requested, engine_id, lease_until)"
                    f" VALUES (:job, :job, 'digest', :spec, :state, :time, 1, 1, 7, 2, false, {held})"
                ),
                {"job": job_id, "spec": json.dumps(old_spec()), "state": state, "time": TIME},
            )
            for sequence, columns in ((1, {"state": state}), (2, {"step": 5, "series": "train", "metrics": metrics()})):
                names = ", ".join(columns)
                places = ", ".join(f":{name}" for name in columns)
                session.execute(
                    text(
                        f"INSERT INTO tuning_job_events (job_id, sequence, time, {names})"
                        f" VALUES (:job, :sequence, :time, {places})"
                    ),
                    {"job": job_id, "sequence": sequence, "time": TIME, **columns},
                )
    return database


def old_spec() -> dict[str, Any]:
    """A spec as it was before: without the fields that came later."""
    spec = job_spec(VersionRef(name="shades", version="0" * 16), adapter_name="colours").model_dump(mode="json")
    for name in NEW_FIELDS:
        spec.pop(name, None)
        spec["lora"].pop(name, None)
    return spec


def metrics() -> str:
    return json.dumps({"step": 5, "total_steps": 9, "epoch": 0.5, "train_loss": 1.5})


def test_old_jobs_and_their_events_are_all_there(old: Database) -> None:
    old.migrate()
    repository = JobRepository(old)
    for job_id, state in OLD_JOBS:
        job = repository.get(job_id)
        assert (job.state, job.priority, job.labels, job.findings, job.prepared) == (JobState(state), 0, {}, [], False)
        events = repository.events_after(job_id, 0, 10)
        assert [(event.sequence, event.attempt) for event in events] == [(1, 0), (2, 0)]
        assert events[1].metrics is not None
        assert events[1].metrics.train_loss == 1.5
    found = repository.newest([], 10, None, adapter_name="colours", dataset_name="shades")
    assert {job.job_id for job in found} == {"job-1", "job-2", "job-3"}
    old.close()


def test_old_jobs_go_on(old: Database) -> None:
    """The one that waited is prepared first; the one that ran is taken over, and its retold steps are dropped."""
    old.migrate()
    repository = JobRepository(old)
    prepared = repository.claim_preparation("engine-b", (), 30)
    assert prepared is not None
    assert prepared.job_id == "job-2"
    taken = repository.claim_device("engine-b", (), ("cpu",), 1, 30)
    assert taken is not None
    assert taken.job_id == "job-3"
    repository.start_attempt("job-3", "engine-b", 0.0)
    told = [Metrics(step=step, total_steps=9, epoch=0.5, train_loss=1.5) for step in (5, 6)]
    repository.ingest("job-3", "engine-b", told, 0, 10)
    events = repository.events_after("job-3", 0, 10)
    assert [(event.sequence, event.metrics.step) for event in events if event.metrics] == [(2, 5), (3, 6)]
    old.close()
