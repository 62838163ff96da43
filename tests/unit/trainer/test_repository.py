"""The queue on SQLite and on Postgres: one winner of every race, and no event lost or doubled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text, update
from unit.trainer.made import job_spec

from burnish.errors import AlreadyExistsError, InternalError, NotFoundError, PreconditionError, UnavailableError
from burnish.schemas.base import VersionRef
from burnish.schemas.job import JobSpec
from burnish.schemas.tuning import Finding, RunEstimate, RunMeasurement
from burnish_trainer.executors.events import CheckpointSaved, Failed, Found, Metrics, Note, Succeeded, Suspended
from burnish_trainer.preflight.types import Preview, Workload
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.jobs import MOVES, Job, State, check_move
from burnish_trainer.queue.records import move
from burnish_trainer.queue.repository import JobRepository, LeaseLost
from burnish_trainer.queue.tables import JobRow, Table

SPEC = job_spec(VersionRef(name="colours", version="0" * 16))
ADAPTER = VersionRef(name="colours", version="1" * 16)
RACERS = 8
ENGINE = "engine-a"
CPU = ("cpu",)
PREVIEW = Preview(
    findings=[
        Finding(code="length-bias", severity="warning", message="chosen is longer", question_ids=["q1"], count=1)
    ],
    workload=Workload(
        steps=9,
        rows=18,
        padded_tokens=900,
        trained_tokens=300,
        heaviest_step_tokens=120,
        longest_row_tokens=60,
        evaluations=2,
        evaluation_tokens=100,
        evaluation_heaviest_tokens=60,
        reference_tokens=0,
    ),
    estimate=RunEstimate(
        seconds=12.0, load_seconds=2.0, peak_memory_bytes=10**9, disk_bytes=10**6, steps=9, tokens=900, basis="test"
    ),
    kind="kind-1",
)
MEASURED = RunMeasurement(seconds=11.0, load_seconds=2.0, peak_memory_bytes=10**9, tokens=900, queue_seconds=0.4)


def race(action: Callable[[int], Any], racers: int = RACERS) -> list[Any]:
    """Run the action in so many threads at once; returns what each got."""
    start = Barrier(racers)

    def run(number: int) -> Any:
        start.wait()
        return action(number)

    with ThreadPoolExecutor(racers) as pool:
        return list(pool.map(run, range(racers)))


def pending(repository: JobRepository, spec: JobSpec = SPEC, **options: Any) -> Job:
    """A job that waits for its preparation."""
    return repository.create(spec, None, "digest", **options)


def prepare(repository: JobRepository, engine: str = ENGINE, active: Sequence[str] = ()) -> Job | None:
    """Take the next job through its preparation."""
    job = repository.claim_preparation(engine, active, 30)
    return repository.prepared(job.job_id, engine, PREVIEW, None) if job else None


def ready(repository: JobRepository, spec: JobSpec = SPEC, **options: Any) -> Job:
    """A job that waits for a device."""
    made = pending(repository, spec, **options)
    assert prepare(repository) is not None
    return repository.get(made.job_id)


def claim(
    repository: JobRepository, engine: str = ENGINE, active: Sequence[str] = (), free: Sequence[str] = CPU
) -> Job | None:
    return repository.claim_device(engine, active, free, max(1, len(free)), 30)


def running(repository: JobRepository, engine: str = ENGINE) -> Job:
    """A job whose first worker has been started."""
    ready(repository)
    job = claim(repository, engine)
    assert job is not None
    return repository.start_attempt(job.job_id, engine, 0.0)


def again(repository: JobRepository, job: Job) -> Job:
    """The job's next attempt, after one that failed."""
    repository.give_back(job.job_id, ENGINE)
    assert claim(repository) is not None
    return repository.start_attempt(job.job_id, ENGINE, 0.0)


def say(repository: JobRepository, job: Job, *events: Any, size: int = 10) -> Job:
    return repository.ingest(job.job_id, ENGINE, events, job.event_offset, job.event_offset + size)


def states(repository: JobRepository, job_id: str) -> list[State]:
    return [event.state for event in repository.events_after(job_id, 0, 1000) if event.state]


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
    jobs = race(lambda _: repository.create(SPEC, "request", "digest"), racers=16)
    assert len({job.job_id for job in jobs}) == 1
    assert len(repository.newest([], 100, None)) == 1


def test_a_request_id_with_another_body_is_refused(repository: JobRepository) -> None:
    job = repository.create(SPEC, "request", "digest")
    with pytest.raises(AlreadyExistsError, match=job.job_id):
        repository.create(SPEC, "request", "other digest")
    with pytest.raises(AlreadyExistsError):
        repository.by_request("request", "other digest")
    assert repository.by_request("another", "digest") is None


def test_racing_engines_take_each_job_once_and_in_order(repository: JobRepository) -> None:
    made = {pending(repository, priority=number % 3).job_id for number in range(50)}

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


def take_all(take: Callable[[list[str]], Job | None]) -> list[Job]:
    """Take jobs until there are none; a race lost on the way to the head is not the end of the line."""
    taken: list[Job] = []
    misses = 0
    while misses < 3:
        job = take([job.job_id for job in taken])
        if job is None:
            misses += 1
            time.sleep(0.02)
        else:
            taken.append(job)
    return taken


def test_the_line_is_ordered_by_priority_then_age(repository: JobRepository) -> None:
    low, old, new = (pending(repository, priority=priority).job_id for priority in (-5, 7, 7))
    order = [job.job_id for _ in range(3) if (job := prepare(repository))]
    assert order == [old, new, low]
    taken: list[str] = []
    while job := claim(repository, active=taken):
        taken.append(job.job_id)
    assert taken == [old, new, low]


def test_only_prepared_jobs_get_a_device(repository: JobRepository) -> None:
    job = pending(repository)
    assert claim(repository) is None
    prepare(repository)
    claimed = claim(repository)
    assert claimed is not None
    assert (claimed.job_id, claimed.state, claimed.devices) == (job.job_id, State.RUNNING, ["cpu"])
    assert repository.claim_preparation("engine-b", (), 30) is None


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


def test_a_job_too_big_for_this_engine_is_left_to_others(repository: JobRepository) -> None:
    ready(repository, SPEC.model_copy(update={"device_count": 4}))
    small = ready(repository)
    claimed = repository.claim_device(ENGINE, (), ("cuda:0", "cuda:1"), 2, 30)
    assert claimed is not None
    assert claimed.job_id == small.job_id


def test_a_job_in_its_back_off_holds_nobody_up(repository: JobRepository) -> None:
    poisoned = running(repository)
    other = ready(repository, priority=-100)
    waiting = repository.give_back(poisoned.job_id, ENGINE, message="it crashed", delay_seconds=1.5)
    assert waiting.not_before is not None
    first = claim(repository)
    assert first is not None
    assert first.job_id == other.job_id
    assert claim(repository, active=(other.job_id,)) is None
    time.sleep(1.6)
    second = claim(repository, active=(other.job_id,))
    assert second is not None
    assert (second.job_id, second.not_before) == (poisoned.job_id, None)


@pytest.mark.parametrize("state", [State.PREPARING, State.RUNNING])
def test_a_held_job_goes_to_others_only_when_its_lease_is_over(repository: JobRepository, state: State) -> None:
    def take(engine: str) -> Job | None:
        return repository.claim_preparation(engine, (), 30) if state is State.PREPARING else claim(repository, engine)

    pending(repository) if state is State.PREPARING else ready(repository)
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


def test_a_renewed_lease_keeps_others_out(repository: JobRepository) -> None:
    ready(repository)
    job = repository.claim_device(ENGINE, (), CPU, 1, -1)
    assert job is not None
    repository.renew(job.job_id, ENGINE, 30)
    assert claim(repository, "engine-b") is None


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


def test_a_job_that_cannot_be_read_does_not_block_the_line(repository: JobRepository, database: Database) -> None:
    broken, whole = ready(repository, priority=1), ready(repository)
    with database.writing() as session:
        session.execute(update(JobRow).where(JobRow.job_id == broken.job_id).values(spec={"method": "unheard-of"}))
    assert claim(repository) is None
    taken = claim(repository)
    assert taken is not None
    assert taken.job_id == whole.job_id
    with database.reading() as session:
        row = session.get(JobRow, broken.job_id)
    assert row is not None
    assert (row.state, (row.error or {})["reason"]) == (State.FAILED.value, "CORRUPT_DATA")


def test_preparation_is_kept_with_the_job(repository: JobRepository) -> None:
    job = ready(repository)
    assert (job.state, job.prepared, job.findings, job.estimate) == (
        State.PENDING,
        True,
        PREVIEW.findings,
        PREVIEW.estimate,
    )
    assert 0 < job.overhead_seconds < 5
    events = repository.events_after(job.job_id, 0, 10)
    assert [event.state for event in events] == [State.PENDING, State.PREPARING, None, None, State.PENDING]
    assert (events[2].finding, events[3].estimate) == (PREVIEW.findings[0], PREVIEW.estimate)
    claimed = claim(repository)
    assert claimed is not None
    assert repository.start_attempt(job.job_id, ENGINE, 0.5).overhead_seconds == pytest.approx(
        job.overhead_seconds + 0.5
    )


def test_a_refused_job_has_failed_and_keeps_its_findings(repository: JobRepository) -> None:
    job = pending(repository)
    refusal = Finding(code="labels-masked", severity="refusal", message="nothing to learn")
    preview = PREVIEW.model_copy(update={"findings": [refusal], "workload": None, "estimate": None})
    repository.claim_preparation(ENGINE, (), 30)
    ended = repository.prepared(job.job_id, ENGINE, preview, PreconditionError("refused"))
    assert (ended.state, ended.findings, ended.estimate) == (State.FAILED, [refusal], None)
    assert ended.error == PreconditionError("refused").to_dict()


def test_what_a_run_took_is_kept_for_later_estimates(repository: JobRepository) -> None:
    for number in range(3):
        job = running(repository)
        measured = MEASURED.model_copy(update={"seconds": float(number)})
        ended = say(repository, job, Succeeded(adapter=ADAPTER, measured=measured))
        assert ended.measured == measured
    runs = repository.past_runs("kind-1", 2)
    assert [run.measured.seconds for run in runs] == [2.0, 1.0]
    assert (runs[0].workload, runs[0].spec) == (PREVIEW.workload, SPEC)
    assert repository.past_runs("kind-2", 2) == []


def test_events_and_offset_are_taken_in_together_or_not_at_all(repository: JobRepository) -> None:
    job = running(repository)
    after = say(repository, job, Note(message="one"), Note(message="two"))
    with pytest.raises(LeaseLost, match="up to 10"):  # a second reader of the same bytes
        say(repository, job, Note(message="one"), Note(message="two"))
    say(repository, after, Note(message="three"))
    events = repository.events_after(job.job_id, 0, 100)
    assert [event.message for event in events if event.message] == ["one", "two", "three"]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


def test_racing_readers_take_one_batch_in_once(repository: JobRepository) -> None:
    job = running(repository)

    def take_in(_: int) -> bool:
        try:
            say(repository, job, Note(message="once"))
        except LeaseLost:
            return False
        return True

    assert sum(race(take_in)) == 1
    events = repository.events_after(job.job_id, job.last_sequence, 10)
    assert [event.message for event in events] == ["once"]


def test_a_step_told_again_is_dropped_or_appended_never_overwritten(repository: JobRepository) -> None:
    job = say(repository, running(repository), metrics(1, 3.0), metrics(2, 2.0, tokens_per_second=9.0), metrics(3, 1.0))
    before = repository.events_after(job.job_id, 0, 100)
    job = again(repository, job)
    job = say(
        repository,
        job,
        metrics(1, 9.0, repeated=True),  # from the checkpoint, and known
        metrics(2, 2.0, tokens_per_second=8.0),  # the same figures at another pace
        metrics(3, 1.5),
        metrics(4, 0.5, tokens_per_second=12.0),
        Metrics(step=4, total_steps=9, epoch=1.3, validation_loss=0.7),
    )
    events = repository.events_after(job.job_id, 0, 100)
    assert events[: len(before)] == before
    told = [(e.attempt, e.metrics.step, e.metrics.train_loss or e.metrics.validation_loss) for e in events if e.metrics]
    assert told == [(1, 1, 3.0), (1, 2, 2.0), (1, 3, 1.0), (2, 3, 1.5), (2, 4, 0.5), (2, 4, 0.7)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert {event.attempt for event in events if event.state} == {0}
    assert job.progress is not None
    assert (job.progress.step, job.progress.train_loss, job.progress.validation_loss) == (4, 0.5, 0.7)
    assert job.progress.tokens_per_second == 12.0


def test_one_attempt_cannot_tell_a_step_in_two_ways(repository: JobRepository) -> None:
    job = say(repository, running(repository), metrics(1, 3.0), metrics(1, 3.0), metrics(1, 2.0))
    events = repository.events_after(job.job_id, 0, 100)
    assert [event.metrics.train_loss for event in events if event.metrics] == [3.0]
    assert events[-1].message == "step 1 was told twice by attempt 1; the first telling is kept"


def test_a_finding_of_the_run_is_told_once(repository: JobRepository) -> None:
    found = Finding(code="overfitting", severity="warning", message="validation loss rises")
    job = say(repository, running(repository), Found(finding=found))
    job = say(repository, again(repository, job), Found(finding=found))
    assert job.findings == [*PREVIEW.findings, found]
    events = repository.events_after(job.job_id, 0, 100)
    assert [(event.attempt, event.finding) for event in events if event.finding] == [
        (0, PREVIEW.findings[0]),
        (1, found),
    ]


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
    job = again(repository, job)
    assert (job.attempts, job.strikes, job.failures, job.event_offset, job.error) == (2, 2, 2, 0, None)
    job = say(repository, job, Failed(error=PreconditionError("too long").to_dict(), retry=False))
    assert (job.state, job.error) == (State.FAILED, PreconditionError("too long").to_dict())


def test_a_checkpoint_wipes_the_strikes(repository: JobRepository) -> None:
    job = running(repository)
    assert (job.strikes, job.failures) == (1, 1)
    job = say(repository, job, CheckpointSaved(step=2, message="checkpoint at step 2"))
    assert (job.strikes, job.failures) == (0, 0)


def test_an_orderly_stop_is_no_strike(repository: JobRepository) -> None:
    job = say(repository, running(repository), Suspended(step=3))
    job = repository.give_back(job.job_id, ENGINE, message="the trainer stopped", strikes=-1, failures=-1)
    assert (job.state, job.strikes, job.failures, job.attempts) == (State.PENDING, 0, 0, 1)
    assert (job.devices, job.not_before) == ([], None)
    taken = claim(repository, "engine-b")
    assert taken is not None
    assert taken.job_id == job.job_id


def in_state(repository: JobRepository, state: State) -> Job:
    """A job in the state, by its usual way there."""
    if state is State.PENDING:
        return ready(repository)
    if state is State.PREPARING:
        pending(repository)
        job = repository.claim_preparation(ENGINE, (), 30)
        assert job is not None
        return job
    if state is State.PAUSED:
        return repository.pause(ready(repository).job_id)
    job = running(repository)
    match state:
        case State.SUCCEEDED:
            return say(repository, job, Succeeded(adapter=ADAPTER))
        case State.FAILED:
            return repository.end(job.job_id, ENGINE, State.FAILED, InternalError("broken"))
        case State.CANCELLED:
            return repository.end(job.job_id, ENGINE, State.CANCELLED)
        case _:
            return job


@pytest.mark.parametrize("state", State)
def test_cancel_ends_a_job_at_once_unless_it_runs(repository: JobRepository, state: State) -> None:
    job = in_state(repository, state)
    if state.ended:
        with pytest.raises(PreconditionError, match=f"already {state.value}"):
            repository.cancel(job.job_id)
        return
    cancelled = repository.cancel(job.job_id)
    if state is State.RUNNING:
        assert (cancelled.state, cancelled.cancel_requested) == (State.RUNNING, True)
        cancelled = repository.end(job.job_id, ENGINE, State.CANCELLED)
    assert (cancelled.state, cancelled.error) == (State.CANCELLED, None)
    with pytest.raises(LeaseLost):
        repository.renew(job.job_id, ENGINE, 30)


@pytest.mark.parametrize("state", State)
def test_pause_and_resume_at_each_state(repository: JobRepository, state: State) -> None:
    job = in_state(repository, state)
    if state.ended:
        for call in (repository.pause, repository.resume):
            with pytest.raises(PreconditionError, match=state.value):
                call(job.job_id)
        return
    paused = repository.pause(job.job_id)
    if state is State.RUNNING:
        assert (paused.state, paused.pause_requested) == (State.RUNNING, True)
        paused = repository.give_back(job.job_id, ENGINE, State.PAUSED, strikes=-1, failures=-1)
    assert (paused.state, paused.pause_requested, paused.devices) == (State.PAUSED, False, [])
    assert repository.pause(job.job_id) == paused, "pausing a paused job changes nothing"
    with pytest.raises(LeaseLost):
        repository.renew(job.job_id, ENGINE, 30)
    resumed = repository.resume(job.job_id)
    assert (resumed.state, resumed.prepared) == (State.PENDING, state is not State.PREPARING)
    with pytest.raises(PreconditionError, match="only a paused job"):
        repository.resume(job.job_id)


def test_resume_withdraws_a_pause_under_way(repository: JobRepository) -> None:
    job = running(repository)
    repository.pause(job.job_id)
    resumed = repository.resume(job.job_id)
    assert (resumed.state, resumed.pause_requested) == (State.RUNNING, False)


def test_a_job_that_is_being_cancelled_cannot_be_paused(repository: JobRepository) -> None:
    job = running(repository)
    repository.cancel(job.job_id)
    with pytest.raises(PreconditionError, match="being cancelled"):
        repository.pause(job.job_id)


def test_resuming_forgets_failures(repository: JobRepository) -> None:
    job = running(repository)
    repository.give_back(job.job_id, ENGINE, delay_seconds=60)
    repository.pause(job.job_id)
    resumed = repository.resume(job.job_id)
    assert (resumed.strikes, resumed.failures, resumed.not_before) == (0, 0, None)


@pytest.mark.parametrize("state", State)
def test_a_deadline_ends_every_job_that_waits(repository: JobRepository, database: Database, state: State) -> None:
    job = in_state(repository, state)
    passed = datetime.now(UTC) - timedelta(seconds=1)
    with database.writing() as session:
        session.execute(update(JobRow).where(JobRow.job_id == job.job_id).values(deadline=passed))
    if state is State.PENDING:
        assert claim(repository) is None, "too late to start"
    late = repository.tidy()
    after = repository.get(job.job_id)
    if state in (State.PENDING, State.PREPARING, State.PAUSED):
        assert late == [after]
        assert (after.state, (after.error or {})["code"]) == (State.FAILED, "DEADLINE_EXCEEDED")
    else:
        assert (late, after.state) == ([], state), "who runs it ends it; what has ended stays"
    assert repository.tidy() == []


@pytest.mark.parametrize(("ask", "state"), [("cancel", State.CANCELLED), ("pause", State.PAUSED)])
def test_requests_to_a_job_whose_engine_is_gone_are_carried_out(
    repository: JobRepository, ask: str, state: State
) -> None:
    job = running(repository)
    getattr(repository, ask)(job.job_id)
    assert repository.tidy() == []
    repository.renew(job.job_id, ENGINE, -1)
    assert [(done.job_id, done.state) for done in repository.tidy()] == [(job.job_id, state)]


@pytest.mark.parametrize(("ask", "state"), [("cancel", State.CANCELLED), ("pause", State.PAUSED)])
def test_a_request_between_two_looks_of_the_engine_is_not_lost(
    repository: JobRepository, ask: str, state: State
) -> None:
    job = running(repository)
    getattr(repository, ask)(job.job_id)
    after = repository.give_back(job.job_id, ENGINE, delay_seconds=60)
    assert (after.state, after.not_before) == (state, None)


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_illegal_moves_are_refused_aloud(before: State, after: State) -> None:
    if after in MOVES[before]:
        check_move("job-1", before, after)
        return
    with pytest.raises(PreconditionError, match=f"job-1 is {before.value}: it cannot become {after.value}"):
        check_move("job-1", before, after)


def test_an_illegal_move_changes_nothing(repository: JobRepository, database: Database) -> None:
    job = in_state(repository, State.PREPARING)
    with database.writing() as session:
        row = session.get(JobRow, job.job_id)
        assert row is not None
        with pytest.raises(PreconditionError, match="is preparing: it cannot become succeeded"):
            move(session, row, State.SUCCEEDED)
    with pytest.raises(PreconditionError, match="not as succeeded"):
        repository.end(job.job_id, ENGINE, State.SUCCEEDED)
    with pytest.raises(PreconditionError, match="not as failed"):
        repository.give_back(job.job_id, ENGINE, State.FAILED)
    with pytest.raises(PreconditionError, match="not as failed"):
        repository.end(job.job_id, ENGINE, State.FAILED)
    assert repository.get(job.job_id) == job


def test_cancel_and_claim_race_to_one_outcome(repository: JobRepository) -> None:
    taken: list[str] = []
    for _ in range(5):
        job = ready(repository)
        race(lambda n, j=job: repository.cancel(j.job_id) if n else claim(repository, active=taken), racers=2)
        taken.append(job.job_id)
        after = repository.get(job.job_id)
        assert after.state is State.CANCELLED or after.cancel_requested
        sequences = [event.sequence for event in repository.events_after(job.job_id, 0, 20)]
        assert sequences == list(range(1, after.last_sequence + 1))


def test_failed_job_keeps_its_error(repository: JobRepository) -> None:
    job = running(repository)
    error = InternalError("three attempts ended", attempts=3)
    assert repository.end(job.job_id, ENGINE, State.FAILED, error).error == error.to_dict()


def test_list_pages_newest_first_without_gaps(repository: JobRepository) -> None:
    made = [pending(repository).job_id for _ in range(5)]
    repository.cancel(made[2])
    assert pages(repository) == made[::-1]
    assert [job.job_id for job in repository.newest([State.CANCELLED], 10, None)] == [made[2]]


def pages(repository: JobRepository, **filters: Any) -> list[str]:
    """All jobs, two a page."""
    seen: list[str] = []
    before = None
    while page := repository.newest([], 2, before, **filters):
        seen += [job.job_id for job in page]
        before = (page[-1].create_time, page[-1].job_id)
    return seen


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
    assert pending(JobRepository(database)).state is State.PENDING
    database.close()
    other.close()
