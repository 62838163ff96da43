"""What each change does to a job and its events. On SQLite alone: where databases differ, test_databases.py runs on both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from integration.trainer.queue.jobs import (
    ADAPTER,
    CPU,
    ENGINE,
    MEASURED,
    PREVIEW,
    SPEC,
    again,
    claim,
    in_state,
    metrics,
    pending,
    prepare,
    race,
    ready,
    running,
    say,
)
from sqlalchemy import update
from unit.trainer.made import job_spec

from burnish.errors import AlreadyExistsError, InternalError, NotFoundError, PreconditionError, UnavailableError
from burnish.schemas.training.job_state import JobState
from burnish.schemas.training.tuning import Finding
from burnish_trainer.executors.events import CheckpointSaved, Failed, Found, Metrics, Note, Succeeded, Suspended
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.record import JobRecord
from burnish_trainer.queue.repository import JobRepository, LeaseLost
from burnish_trainer.queue.tables import JobRow


def test_a_job_comes_back_as_it_was_queued(repository: JobRepository) -> None:
    job = repository.create(SPEC, "request", "digest")
    assert repository.get(job.job_id) == job
    assert (job.spec, job.state, job.attempts, job.request_id) == (SPEC, JobState.PENDING, 0, "request")
    assert [event.state for event in repository.events_after(job.job_id, 0, 10)] == [JobState.PENDING]


def test_unknown_job_is_not_found(repository: JobRepository) -> None:
    for call in (repository.get, repository.cancel, lambda job_id: repository.events_after(job_id, 0, 10)):
        with pytest.raises(NotFoundError, match="job-none"):
            call("job-none")


def test_a_request_id_with_another_body_is_refused(repository: JobRepository) -> None:
    job = repository.create(SPEC, "request", "digest")
    with pytest.raises(AlreadyExistsError, match=job.job_id):
        repository.create(SPEC, "request", "other digest")
    with pytest.raises(AlreadyExistsError):
        repository.by_request("request", "other digest")
    assert repository.by_request("another", "digest") is None


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
    assert (claimed.job_id, claimed.state, claimed.devices) == (job.job_id, JobState.RUNNING, ["cpu"])
    assert repository.claim_preparation("engine-b", (), 30) is None


def test_a_job_too_big_for_this_engine_is_left_to_others(repository: JobRepository) -> None:
    ready(repository, SPEC.model_copy(update={"device_count": 4}))
    small = ready(repository)
    claimed = repository.claim_device(ENGINE, (), ("cuda:0", "cuda:1"), 2, 30)
    assert claimed is not None
    assert claimed.job_id == small.job_id


def test_a_renewed_lease_keeps_others_out(repository: JobRepository) -> None:
    ready(repository)
    job = repository.claim_device(ENGINE, (), CPU, 1, -1)
    assert job is not None
    repository.renew(job.job_id, ENGINE, 30)
    assert claim(repository, "engine-b") is None


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
    assert (row.state, (row.error or {})["reason"]) == (JobState.FAILED.value, "CORRUPT_DATA")


def test_preparation_is_kept_with_the_job(repository: JobRepository) -> None:
    job = ready(repository)
    assert (job.state, job.prepared, job.findings, job.estimate) == (
        JobState.PENDING,
        True,
        PREVIEW.findings,
        PREVIEW.estimate,
    )
    assert 0 < job.overhead_seconds < 5
    events = repository.events_after(job.job_id, 0, 10)
    assert [event.state for event in events] == [JobState.PENDING, JobState.PREPARING, None, None, JobState.PENDING]
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
    assert (ended.state, ended.findings, ended.estimate) == (JobState.FAILED, [refusal], None)
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
    assert events[-1].message == "step 1 was reported twice by attempt 1; the first report is kept"


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
    assert (job.state, job.adapter, job.error) == (JobState.SUCCEEDED, ADAPTER, None)
    assert job.end_time is not None
    assert repository.events_after(job.job_id, 0, 100)[-1].state is JobState.SUCCEEDED
    with pytest.raises(LeaseLost):
        say(repository, job, Note(message="from a ghost"))


def test_failures_end_the_job_or_leave_it_another_attempt(repository: JobRepository) -> None:
    job = running(repository)
    job = say(repository, job, Failed(error=UnavailableError("no store").to_dict(), retry=True))
    assert (job.state, job.error) == (JobState.RUNNING, UnavailableError("no store").to_dict())
    job = again(repository, job)
    assert (job.attempts, job.strikes, job.failures, job.event_offset, job.error) == (2, 2, 2, 0, None)
    job = say(repository, job, Failed(error=PreconditionError("too long").to_dict(), retry=False))
    assert (job.state, job.error) == (JobState.FAILED, PreconditionError("too long").to_dict())


def test_a_checkpoint_wipes_the_strikes(repository: JobRepository) -> None:
    job = running(repository)
    assert (job.strikes, job.failures) == (1, 1)
    job = say(repository, job, CheckpointSaved(step=2, message="checkpoint at step 2"))
    assert (job.strikes, job.failures) == (0, 0)


def test_an_orderly_stop_is_no_strike(repository: JobRepository) -> None:
    job = say(repository, running(repository), Suspended(step=3))
    job = repository.requeue(job.job_id, ENGINE, message="the trainer stopped", strikes=-1, failures=-1)
    assert (job.state, job.strikes, job.failures, job.attempts) == (JobState.PENDING, 0, 0, 1)
    assert (job.devices, job.not_before) == ([], None)
    taken = claim(repository, "engine-b")
    assert taken is not None
    assert taken.job_id == job.job_id


@pytest.mark.parametrize("state", JobState)
def test_cancel_ends_a_job_at_once_unless_it_runs(repository: JobRepository, state: JobState) -> None:
    job = in_state(repository, state)
    if state.ended:
        with pytest.raises(PreconditionError, match=f"already {state.value}"):
            repository.cancel(job.job_id)
        return
    cancelled = repository.cancel(job.job_id)
    if state is JobState.RUNNING:
        assert (cancelled.state, cancelled.cancel_requested) == (JobState.RUNNING, True)
        cancelled = repository.end(job.job_id, ENGINE, JobState.CANCELLED)
    assert (cancelled.state, cancelled.error) == (JobState.CANCELLED, None)
    with pytest.raises(LeaseLost):
        repository.renew(job.job_id, ENGINE, 30)


@pytest.mark.parametrize("state", JobState)
def test_pause_and_resume_at_each_state(repository: JobRepository, state: JobState) -> None:
    job = in_state(repository, state)
    if state.ended:
        for call in (repository.pause, repository.resume):
            with pytest.raises(PreconditionError, match=state.value):
                call(job.job_id)
        return
    paused = repository.pause(job.job_id)
    if state is JobState.RUNNING:
        assert (paused.state, paused.pause_requested) == (JobState.RUNNING, True)
        paused = repository.requeue(job.job_id, ENGINE, JobState.PAUSED, strikes=-1, failures=-1)
    assert (paused.state, paused.pause_requested, paused.devices) == (JobState.PAUSED, False, [])
    assert repository.pause(job.job_id) == paused, "pausing a paused job changes nothing"
    with pytest.raises(LeaseLost):
        repository.renew(job.job_id, ENGINE, 30)
    resumed = repository.resume(job.job_id)
    assert (resumed.state, resumed.prepared) == (JobState.PENDING, state is not JobState.PREPARING)
    with pytest.raises(PreconditionError, match="only a paused job"):
        repository.resume(job.job_id)


def test_resume_withdraws_a_pause_under_way(repository: JobRepository) -> None:
    job = running(repository)
    repository.pause(job.job_id)
    resumed = repository.resume(job.job_id)
    assert (resumed.state, resumed.pause_requested) == (JobState.RUNNING, False)


def test_a_job_that_is_being_cancelled_cannot_be_paused(repository: JobRepository) -> None:
    job = running(repository)
    repository.cancel(job.job_id)
    with pytest.raises(PreconditionError, match="being cancelled"):
        repository.pause(job.job_id)


def test_resuming_forgets_failures(repository: JobRepository) -> None:
    job = running(repository)
    repository.requeue(job.job_id, ENGINE, delay_seconds=60)
    repository.pause(job.job_id)
    resumed = repository.resume(job.job_id)
    assert (resumed.strikes, resumed.failures, resumed.not_before) == (0, 0, None)


@pytest.mark.parametrize("state", JobState)
def test_a_deadline_ends_every_job_that_waits(repository: JobRepository, database: Database, state: JobState) -> None:
    job = in_state(repository, state)
    passed = datetime.now(UTC) - timedelta(seconds=1)
    with database.writing() as session:
        session.execute(update(JobRow).where(JobRow.job_id == job.job_id).values(deadline=passed))
    if state is JobState.PENDING:
        assert claim(repository) is None, "too late to start"
    late = repository.expire()
    after = repository.get(job.job_id)
    if state in (JobState.PENDING, JobState.PREPARING, JobState.PAUSED):
        assert late == [after]
        assert (after.state, (after.error or {})["code"]) == (JobState.FAILED, "DEADLINE_EXCEEDED")
    else:
        assert (late, after.state) == ([], state), "who runs it ends it; what has ended stays"
    assert repository.expire() == []


@pytest.mark.parametrize(("ask", "state"), [("cancel", JobState.CANCELLED), ("pause", JobState.PAUSED)])
def test_requests_to_a_job_whose_engine_is_gone_are_carried_out(
    repository: JobRepository, ask: str, state: JobState
) -> None:
    job = running(repository)
    getattr(repository, ask)(job.job_id)
    assert repository.expire() == []
    repository.renew(job.job_id, ENGINE, -1)
    assert [(done.job_id, done.state) for done in repository.expire()] == [(job.job_id, state)]


@pytest.mark.parametrize(("ask", "state"), [("cancel", JobState.CANCELLED), ("pause", JobState.PAUSED)])
def test_a_request_between_two_looks_of_the_engine_is_not_lost(
    repository: JobRepository, ask: str, state: JobState
) -> None:
    job = running(repository)
    getattr(repository, ask)(job.job_id)
    after = repository.requeue(job.job_id, ENGINE, delay_seconds=60)
    assert (after.state, after.not_before) == (state, None)


def test_an_illegal_move_changes_nothing(repository: JobRepository, database: Database) -> None:
    job = in_state(repository, JobState.PREPARING)
    with database.writing() as session:
        row = session.get(JobRow, job.job_id)
        assert row is not None
        with pytest.raises(PreconditionError, match="is preparing: it cannot become succeeded"):
            JobRecord(session, row).move(JobState.SUCCEEDED)
    with pytest.raises(PreconditionError, match="not as succeeded"):
        repository.end(job.job_id, ENGINE, JobState.SUCCEEDED)
    with pytest.raises(PreconditionError, match="not as failed"):
        repository.requeue(job.job_id, ENGINE, JobState.FAILED)
    with pytest.raises(PreconditionError, match="not as failed"):
        repository.end(job.job_id, ENGINE, JobState.FAILED)
    assert repository.get(job.job_id) == job


def test_failed_job_keeps_its_error(repository: JobRepository) -> None:
    job = running(repository)
    error = InternalError("three attempts ended", attempts=3)
    assert repository.end(job.job_id, ENGINE, JobState.FAILED, error).error == error.to_dict()


def test_the_list_of_what_is_at_providers_has_what_runs_there_and_what_is_not_released(
    repository: JobRepository,
) -> None:
    hosted = job_spec(SPEC.dataset, hosted={"provider": "openai", "model": "nano", "spend_limit_usd": 1})

    def listed() -> list[str]:
        return [job.job_id for job in repository.newest([], 10, None, at_provider=True)]

    repository.create(SPEC, "local", "digest")
    waiting, begun = (repository.create(hosted, name, "digest").job_id for name in ("waiting", "begun"))
    assert listed() == [], "nothing was sent yet"
    repository.cancel(waiting)
    assert listed() == [], "and never will be"
    with repository._locked(begun) as record:
        record.row.attempts = 1
    assert listed() == [begun]
    repository.cancel(begun)
    assert listed() == [begun], "it may still run there"
    repository.release(begun)
    assert listed() == []
