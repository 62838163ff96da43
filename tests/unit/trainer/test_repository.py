"""The queue on SQLite and on Postgres: one winner of every race, and no event lost or doubled."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from unit.trainer.made import job_spec

from burnish.errors import AlreadyExistsError, InternalError, NotFoundError, PreconditionError, UnavailableError
from burnish_trainer.database import Database
from burnish_trainer.events import CheckpointSaved, Failed, Metrics, Note, Succeeded, Suspended
from burnish_trainer.jobs import Job, State
from burnish_trainer.repository import JobRepository, LeaseLost
from burnish_trainer.spec import VersionRef
from burnish_trainer.tables import Table

SPEC = job_spec(VersionRef(name="colours", version="0" * 16))
ADAPTER = VersionRef(name="colours", version="1" * 16)
RACERS = 8


def race(action: Callable[[int], Any], racers: int = RACERS) -> list[Any]:
    """Run the action in so many threads at once; returns what each got."""
    start = Barrier(racers)

    def run(number: int) -> Any:
        start.wait()
        return action(number)

    with ThreadPoolExecutor(racers) as pool:
        return list(pool.map(run, range(racers)))


def running(repository: JobRepository, engine: str = "engine-a") -> Job:
    """A job whose first worker has been started."""
    repository.create(SPEC, None, "digest")
    job = repository.claim(engine, (), lease_seconds=30)
    assert job is not None
    return repository.start_attempt(job.job_id, engine)


def say(repository: JobRepository, job: Job, *events: Any, size: int = 10) -> Job:
    return repository.ingest(job.job_id, "engine-a", events, job.event_offset, job.event_offset + size)


def metrics(step: int, loss: float, **fields: Any) -> Metrics:
    return Metrics(step=step, total_steps=9, epoch=step / 3, train_loss=loss, **fields)


def test_tables_are_what_the_migrations_make(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_migrating_twice_changes_nothing(database: Database, repository: JobRepository) -> None:
    job = repository.create(SPEC, None, "digest")
    database.migrate()
    assert repository.get(job.job_id) == job


def test_a_job_comes_back_as_it_was_queued(repository: JobRepository) -> None:
    job = repository.create(SPEC, "request", "digest")
    assert repository.get(job.job_id) == job
    assert (job.spec, job.state, job.attempts, job.request_id) == (SPEC, State.PENDING, 0, "request")
    assert [event.state for event in repository.events_after(job.job_id, 0, 10)] == [State.PENDING]


def test_unknown_job_is_not_found(repository: JobRepository) -> None:
    for call in (repository.get, repository.cancel, lambda job_id: repository.events_after(job_id, 0, 10)):
        with pytest.raises(NotFoundError, match="job-none"):
            call("job-none")


def test_racing_creates_with_one_request_id_make_one_job(repository: JobRepository) -> None:
    jobs = race(lambda _: repository.create(SPEC, "request", "digest"))
    assert len({job.job_id for job in jobs}) == 1
    assert len(repository.newest([], 100, None)) == 1


def test_a_request_id_with_another_body_is_refused(repository: JobRepository) -> None:
    job = repository.create(SPEC, "request", "digest")
    with pytest.raises(AlreadyExistsError, match=job.job_id):
        repository.create(SPEC, "request", "other digest")
    with pytest.raises(AlreadyExistsError):
        repository.by_request("request", "other digest")
    assert repository.by_request("another", "digest") is None


def test_racing_engines_never_take_one_job_twice(repository: JobRepository) -> None:
    made = {repository.create(SPEC, None, "digest").job_id for _ in range(5)}

    def claim_all(number: int) -> list[str]:
        taken: list[str] = []
        for _ in range(12):
            job = repository.claim(f"engine-{number}", taken, lease_seconds=30)
            if job is not None:
                taken.append(job.job_id)
        return taken

    taken = [job_id for jobs in race(claim_all) for job_id in jobs]
    assert sorted(taken) == sorted(made)


def test_oldest_job_is_claimed_first(repository: JobRepository) -> None:
    first, second = (repository.create(SPEC, None, "digest") for _ in range(2))
    claimed = [repository.claim("engine-a", (), 30), repository.claim("engine-a", (first.job_id,), 30)]
    assert [job.job_id for job in claimed if job] == [first.job_id, second.job_id]
    assert repository.claim("engine-a", (first.job_id, second.job_id), 30) is None


def test_a_running_job_goes_to_others_only_when_its_lease_is_over(repository: JobRepository) -> None:
    repository.create(SPEC, None, "digest")
    job = repository.claim("engine-a", (), lease_seconds=0.2)
    assert job is not None
    assert repository.claim("engine-b", (), 30) is None
    time.sleep(0.25)
    taken = repository.claim("engine-b", (), 30)
    assert taken is not None
    assert taken.job_id == job.job_id
    with pytest.raises(LeaseLost):
        repository.renew(job.job_id, "engine-a", 30)


def test_a_restarted_engine_takes_its_own_job_at_once(repository: JobRepository) -> None:
    job = running(repository)
    assert repository.claim("engine-a", (job.job_id,), 30) is None
    again = repository.claim("engine-a", (), 30)
    assert again is not None
    assert again.job_id == job.job_id
    assert again.start_time == job.start_time


def test_events_and_offset_are_taken_in_together_or_not_at_all(repository: JobRepository) -> None:
    job = running(repository)
    after = say(repository, job, Note(message="one"), Note(message="two"))
    with pytest.raises(LeaseLost, match="up to 10"):  # a second reader of the same bytes
        say(repository, job, Note(message="one"), Note(message="two"))
    say(repository, after, Note(message="three"))
    events = repository.events_after(job.job_id, 0, 100)
    assert [event.message for event in events if event.message] == ["one", "two", "three"]
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]


def test_racing_readers_take_one_batch_in_once(repository: JobRepository) -> None:
    job = running(repository)

    def take_in(_: int) -> bool:
        try:
            say(repository, job, Note(message="once"))
        except LeaseLost:
            return False
        return True

    assert sum(race(take_in)) == 1
    assert [event.message for event in repository.events_after(job.job_id, 2, 10)] == ["once"]


def test_a_step_run_again_replaces_its_metrics(repository: JobRepository) -> None:
    job = say(repository, running(repository), metrics(1, 3.0), metrics(2, 2.0), metrics(3, 1.0))
    job = repository.start_attempt(job.job_id, "engine-a")
    job = say(
        repository,
        job,
        metrics(1, 9.0, repeated=True),
        metrics(3, 1.5),
        metrics(4, 0.5, tokens_per_second=12.0),
        Metrics(step=4, total_steps=9, epoch=1.3, validation_loss=0.7),
    )
    told = [event.metrics for event in repository.events_after(job.job_id, 0, 100) if event.metrics]
    assert [(m.step, m.train_loss, m.validation_loss) for m in told] == [
        (1, 3.0, None),
        (2, 2.0, None),
        (3, 1.5, None),
        (4, 0.5, None),
        (4, None, 0.7),
    ]
    assert [event.sequence for event in repository.events_after(job.job_id, 0, 100)] == list(range(1, 8))
    assert job.progress is not None
    assert (job.progress.step, job.progress.train_loss, job.progress.validation_loss) == (4, 0.5, 0.7)
    assert job.progress.tokens_per_second == 12.0


def test_steps_whose_telling_was_lost_are_filled_in(repository: JobRepository) -> None:
    job = say(repository, running(repository), metrics(1, 3.0))
    job = say(repository, job, *(metrics(step, 1.0, repeated=True) for step in (1, 2, 3)))
    told = [event.metrics for event in repository.events_after(job.job_id, 0, 100) if event.metrics]
    assert [(m.step, m.train_loss) for m in told] == [(1, 3.0), (2, 1.0), (3, 1.0)]


def test_success_ends_the_job_with_its_adapter(repository: JobRepository) -> None:
    job = say(repository, running(repository), Succeeded(adapter=ADAPTER))
    assert (job.state, job.adapter, job.error) == (State.SUCCEEDED, ADAPTER, None)
    assert job.end_time is not None
    assert repository.events_after(job.job_id, 0, 100)[-1].state is State.SUCCEEDED
    with pytest.raises(LeaseLost):
        say(repository, job, Note(message="from a ghost"))


def test_failures_end_the_job_or_leave_it_another_attempt(repository: JobRepository) -> None:
    job = running(repository)
    job = say(repository, job, Failed(error=UnavailableError("no store").to_dict(), retry=True))
    assert (job.state, job.error) == (State.RUNNING, UnavailableError("no store").to_dict())
    job = repository.start_attempt(job.job_id, "engine-a")
    assert (job.attempts, job.strikes, job.event_offset, job.error) == (2, 2, 0, None)
    job = say(repository, job, Failed(error=PreconditionError("too long").to_dict(), retry=False))
    assert (job.state, job.error) == (State.FAILED, PreconditionError("too long").to_dict())


def test_a_checkpoint_wipes_the_strikes(repository: JobRepository) -> None:
    job = running(repository)
    assert job.strikes == 1
    assert say(repository, job, CheckpointSaved(step=2, message="checkpoint at step 2")).strikes == 0


def test_release_queues_the_job_again_without_a_strike(repository: JobRepository) -> None:
    job = say(repository, running(repository), Suspended(step=3))
    job = repository.release(job.job_id, "engine-a", "the trainer stopped")
    assert (job.state, job.strikes, job.attempts) == (State.PENDING, 0, 1)
    again = repository.claim("engine-b", (), 30)
    assert again is not None
    assert again.job_id == job.job_id


def test_cancel_ends_a_pending_job_and_marks_a_running_one(repository: JobRepository) -> None:
    pending = repository.create(SPEC, None, "digest")
    assert repository.cancel(pending.job_id).state is State.CANCELLED
    with pytest.raises(PreconditionError, match="already cancelled"):
        repository.cancel(pending.job_id)
    job = running(repository)
    marked = repository.cancel(job.job_id)
    assert (marked.state, marked.cancel_requested) == (State.RUNNING, True)
    ended = repository.end(job.job_id, "engine-a", State.CANCELLED)
    assert (ended.state, ended.error) == (State.CANCELLED, None)


def test_cancel_and_claim_race_to_one_outcome(repository: JobRepository) -> None:
    for _ in range(5):
        job = repository.create(SPEC, None, "digest")
        race(lambda n, j=job: repository.cancel(j.job_id) if n else repository.claim("engine-a", (), 30), racers=2)
        after = repository.get(job.job_id)
        assert after.state is State.CANCELLED or after.cancel_requested
        sequences = [event.sequence for event in repository.events_after(job.job_id, 0, 10)]
        assert sequences == list(range(1, after.last_sequence + 1))


def test_failed_job_keeps_its_error(repository: JobRepository) -> None:
    job = running(repository)
    error = InternalError("three attempts ended", attempts=3)
    assert repository.end(job.job_id, "engine-a", State.FAILED, error).error == error.to_dict()


def test_list_pages_newest_first_without_gaps(repository: JobRepository) -> None:
    made = [repository.create(SPEC, None, "digest").job_id for _ in range(5)]
    repository.cancel(made[2])
    seen: list[str] = []
    before = None
    while page := repository.newest([], 2, before):
        seen += [job.job_id for job in page]
        before = (page[-1].create_time, page[-1].job_id)
    assert seen == made[::-1]
    assert [job.job_id for job in repository.newest([State.CANCELLED], 10, None)] == [made[2]]


def test_a_database_that_is_gone_is_unavailable() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=1")
    with pytest.raises(UnavailableError, match="does not answer"):
        JobRepository(database).get("job-1")
