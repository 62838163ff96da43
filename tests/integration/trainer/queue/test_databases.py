"""Where databases differ: claims and leases under races, JSON filters, what is locked, full or gone. On SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from integration.trainer.queue.jobs import (
    ENGINE,
    SPEC,
    claim,
    pages,
    pending,
    prepare,
    race,
    ready,
    running,
    say,
    states,
    take_all,
)
from sqlalchemy import event, text, update
from unit.trainer.made import job_spec

from burnish.errors import UnavailableError
from burnish.schemas.base import VersionRef
from burnish.schemas.training.job_state import JobState
from burnish_trainer.executors.events import Note
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.repository import JobRepository, LeaseLost
from burnish_trainer.queue.tables import JobRow, Table


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty, migrated queue on each database that Burnish supports."""
    database = Database(request.getfixturevalue(f"new_{request.param}")(True), busy_timeout_seconds=60)
    yield database
    database.close()


def test_tables_are_what_the_migrations_make(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_migrating_twice_changes_nothing(database: Database, repository: JobRepository) -> None:
    job = repository.create(SPEC, None, "digest")
    database.migrate()
    assert repository.get(job.job_id) == job


def test_racing_creates_with_one_request_id_make_one_job(repository: JobRepository) -> None:
    jobs = race(lambda _: repository.create(SPEC, "request", "digest"), racers=16)
    assert len({job.job_id for job in jobs}) == 1
    assert len(repository.newest([], 100, None)) == 1


def test_racing_engines_take_each_job_once_and_in_order(repository: JobRepository) -> None:
    made = {pending(repository, priority=number % 3).job_id for number in range(20)}

    def prepare_all(number: int) -> list[Job]:
        return take_all(lambda taken: prepare(repository, f"engine-{number}", taken))

    def claim_all(number: int) -> list[Job]:
        return take_all(lambda taken: claim(repository, f"engine-{number}", taken))

    for jobs_of_engines in (race(prepare_all), race(claim_all)):
        taken = [job.job_id for jobs in jobs_of_engines for job in jobs]
        assert sorted(taken) == sorted(made)
        for jobs in jobs_of_engines:
            line = [(-job.priority, job.create_time) for job in jobs]
            assert line == sorted(line)


def test_the_head_of_the_line_is_not_overtaken(repository: JobRepository) -> None:
    gpus = ("cuda:0", "cuda:1", "cuda:2")
    big = ready(repository, SPEC.model_copy(update={"device_count": 2}))
    small = ready(repository)
    assert repository.claim_device(ENGINE, (), gpus[:1], 3, 30) is None
    first = repository.claim_device(ENGINE, (), gpus, 3, 30)
    assert first is not None
    assert (first.job_id, first.devices) == (big.job_id, ["cuda:0", "cuda:1"])
    second = repository.claim_device(ENGINE, (big.job_id,), gpus[2:], 3, 30)
    assert second is not None
    assert (second.job_id, second.devices) == (small.job_id, ["cuda:2"])


def test_a_job_in_its_back_off_holds_nobody_up(repository: JobRepository, database: Database) -> None:
    poisoned = running(repository)
    other = ready(repository, priority=-100)
    waiting = repository.requeue(poisoned.job_id, ENGINE, message="it crashed", delay_seconds=60)
    assert waiting.not_before is not None
    first = claim(repository)
    assert first is not None
    assert first.job_id == other.job_id
    assert claim(repository, active=(other.job_id,)) is None
    with database.writing() as session:  # the back-off is over
        session.execute(update(JobRow).where(JobRow.job_id == poisoned.job_id).values(not_before=datetime.now(UTC)))
    second = claim(repository, active=(other.job_id,))
    assert second is not None
    assert (second.job_id, second.not_before) == (poisoned.job_id, None)


@pytest.mark.parametrize("state", [JobState.PREPARING, JobState.RUNNING])
def test_a_held_job_goes_to_others_only_when_its_lease_is_over(repository: JobRepository, state: JobState) -> None:
    def take(engine: str) -> Job | None:
        return (
            repository.claim_preparation(engine, (), 30) if state is JobState.PREPARING else claim(repository, engine)
        )

    pending(repository) if state is JobState.PREPARING else ready(repository)
    job = take(ENGINE)
    assert job is not None
    assert job.state is state
    assert take("engine-b") is None
    repository.renew(job.job_id, ENGINE, -1)  # its lease is over
    taken = take("engine-b")
    assert taken is not None
    assert (taken.job_id, taken.state) == (job.job_id, state)
    with pytest.raises(LeaseLost):
        repository.renew(job.job_id, ENGINE, 30)
    assert states(repository, job.job_id).count(state) == 1


def test_a_restarted_engine_takes_its_own_jobs_at_once(repository: JobRepository) -> None:
    job = running(repository)
    preparing = pending(repository)
    assert repository.claim_preparation(ENGINE, (), 30)
    assert claim(repository, active=(job.job_id,)) is None
    taken = claim(repository)
    assert taken is not None
    assert (taken.job_id, taken.start_time) == (job.job_id, job.start_time)
    prepared = repository.claim_preparation(ENGINE, (), 30)
    assert prepared is not None
    assert prepared.job_id == preparing.job_id


def test_cancel_and_claim_race_to_one_outcome(repository: JobRepository) -> None:
    taken: list[str] = []
    for _ in range(5):
        job = ready(repository)
        race(lambda n, j=job: repository.cancel(j.job_id) if n else claim(repository, active=taken), racers=2)
        taken.append(job.job_id)
        after = repository.get(job.job_id)
        assert after.state is JobState.CANCELLED or after.cancel_requested
        sequences = [event.sequence for event in repository.events_after(job.job_id, 0, 20)]
        assert sequences == list(range(1, after.last_sequence + 1))


def test_list_pages_newest_first_without_gaps(repository: JobRepository) -> None:
    made = [pending(repository).job_id for _ in range(5)]
    repository.cancel(made[2])
    assert pages(repository) == made[::-1]
    assert [job.job_id for job in repository.newest([JobState.CANCELLED], 10, None)] == [made[2]]


def test_lists_are_filtered_by_labels_and_names_page_by_page(repository: JobRepository) -> None:
    other = job_spec(VersionRef(name="shapes", version="0" * 16), adapter_name="squares")
    red = [pending(repository, labels={"team": "red", "run": str(number % 2)}).job_id for number in range(5)]
    shapes = [pending(repository, other, labels={"team": "blue"}).job_id for _ in range(3)]
    assert pages(repository, labels={"team": "red"}) == red[::-1]
    assert pages(repository, labels={"team": "red", "run": "1"}) == [red[3], red[1]]
    assert pages(repository, labels={"team": "green"}) == pages(repository, labels={"absent": "red"}) == []
    assert pages(repository, adapter_name="squares") == pages(repository, dataset_name="shapes") == shapes[::-1]
    assert pages(repository, adapter_name="squares", labels={"team": "red"}) == []


def test_many_watchers_see_every_event_once_from_any_sequence(repository: JobRepository) -> None:
    job = running(repository)
    first, last = job.last_sequence, job.last_sequence + 60

    def watch(number: int) -> list[int]:
        after = first + number
        seen: list[int] = []
        while after < last:
            events = repository.events_after(job.job_id, after, 7)
            seen += [event.sequence for event in events]
            after = seen[-1] if seen else after
        return seen

    def write(_: int) -> None:
        told = job
        for number in range(20):
            told = say(repository, told, *(Note(message=f"{number}.{part}") for part in range(3)))

    answers = race(lambda number: watch(number) if number else write(number))
    for number, seen in enumerate(answers[1:], start=1):
        assert seen == list(range(first + number + 1, last + 1))


def test_a_database_that_is_gone_is_unavailable() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=1")
    with pytest.raises(UnavailableError, match="does not answer"):
        JobRepository(database).get("job-1")


def test_a_full_disk_is_said_and_nothing_is_half_written(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'queue.db'}")
    database.migrate()
    repository = JobRepository(database)
    job = running(repository)

    @event.listens_for(database.engine, "begin")
    def limit(connection: Any) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite takes the size that the file has: it is full

    with pytest.raises(UnavailableError, match="disk of the queue's database is full, nothing was changed"):
        say(repository, job, Note(message="kept"), Note(message="x" * 1_000_000))
    event.remove(database.engine, "begin", limit)
    database.engine.dispose()
    assert repository.get(job.job_id) == job
    assert say(repository, job, Note(message="again")).last_sequence == job.last_sequence + 1
    database.close()


def test_a_locked_database_is_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'queue.db'}"
    database, other = Database(url, busy_timeout_seconds=0.1), Database(url)
    database.migrate()
    with other.writing() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(UnavailableError, match="another process has held the queue's database locked"):
            pending(JobRepository(database))
    assert pending(JobRepository(database)).state is JobState.PENDING
    database.close()
    other.close()
