"""Every decision about a job that an engine holds, as a table: no clock, no process, no queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from unit.trainer.scheduler.jobs import NOW, job, policy

from burnish.errors import InternalError, PreconditionError, UnavailableError
from burnish.schemas.training.job_state import JobState
from burnish.schemas.training.tuning import RunEstimate
from burnish_trainer.executors import Pulse
from burnish_trainer.queue.jobs import deadline_error
from burnish_trainer.scheduler.policy import (
    STOPPED,
    Action,
    Done,
    End,
    Kill,
    Policy,
    Requeue,
    Start,
    Stop,
    Wait,
    WorkerStatus,
    after_failure,
    hung,
    next_action,
)
from burnish_trainer.settings import TrainerSettings

OUTAGE = UnavailableError("no store").to_dict()
DEFECT = InternalError("broken").to_dict()
LATE: dict[str, Any] = {"deadline": NOW}
IN_TIME: dict[str, Any] = {"deadline": NOW + timedelta(seconds=1)}
CRASHED = WorkerStatus(ended="SIGKILL: it logged nothing")
STOPPED_IN_ORDER = WorkerStatus(ended="exit code 0", seconds_to_kill=40.0)
CANCELLED = End(JobState.CANCELLED)
ALIVE = Pulse(silent_seconds=120.0, stalled_seconds=600.0, phase="training")
SILENT = Pulse(silent_seconds=200.0, stalled_seconds=200.0, phase="training")
STUCK = Pulse(silent_seconds=1.0, stalled_seconds=601.0, phase="training")
UNCOUNTED = {"strikes": -1, "failures": -1}


def alike(action: Action, expected: Action) -> bool:
    """Errors have no equality of their own: they are compared by what they say."""

    def plain(one: Action) -> tuple[type, dict[str, Any]]:
        values = dict(vars(one))
        if values.get("error") is not None:
            values["error"] = values["error"].to_dict()
        return type(one), values

    return plain(action) == plain(expected)


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.RUNNING])
@pytest.mark.parametrize("worker", [None, WorkerStatus(), CRASHED])
def test_nothing_is_done_with_a_job_that_does_not_run(state: JobState, worker: WorkerStatus | None) -> None:
    assert next_action(job(state=state, cancel_requested=True), worker, NOW, policy()) == Done()


@pytest.mark.parametrize(
    ("fields", "stopping", "expected"),
    [
        ({}, False, Start()),
        (IN_TIME, False, Start()),
        ({"strikes": 2, "attempts": 9}, False, Start()),
        ({"cancel_requested": True, "pause_requested": True, **LATE}, True, CANCELLED),
        ({"pause_requested": True, **LATE}, True, End(JobState.FAILED, deadline_error("job-1", NOW))),
        ({"pause_requested": True}, True, Requeue(JobState.PAUSED)),
        ({}, True, Requeue(message=STOPPED)),
        ({"strikes": 3, "error": DEFECT}, False, End(JobState.FAILED, InternalError("broken"))),
        ({"strikes": 3, "error": OUTAGE}, False, End(JobState.FAILED, UnavailableError("no store"))),
        ({"attempts": 100, "strikes": 0}, False, End(JobState.FAILED, InternalError(
            "0 attempts ended without a new checkpoint, 100 in all; the last one: the trainer ended while it ran",
            job_id="job-1", attempts=100))),
    ],
)  # fmt: skip
def test_before_a_worker_is_started(fields: dict[str, Any], stopping: bool, expected: Action) -> None:
    assert alike(next_action(job(**fields), None, NOW, policy(), stopping), expected)


@pytest.mark.parametrize(
    ("fields", "worker", "stopping", "expected"),
    [
        ({}, {}, False, Wait()),
        (IN_TIME, {"pulse": ALIVE}, False, Wait()),
        # asked to stop, with the time that each reason allows
        ({"cancel_requested": True}, {}, False, Stop(5.0)),
        ({"pause_requested": True}, {}, False, Stop(60.0)),
        (LATE, {}, False, Stop(60.0)),
        ({}, {}, True, Stop(60.0)),
        ({"cancel_requested": True, "pause_requested": True, **LATE}, {}, True, Stop(5.0)),
        # once it was asked, it is left alone until its time is over; a cancel shortens what is left
        ({"pause_requested": True}, {"seconds_to_kill": 59.9}, False, Wait()),
        ({"pause_requested": True, "cancel_requested": True}, {"seconds_to_kill": 59.9}, False, Stop(5.0)),
        ({"cancel_requested": True}, {"seconds_to_kill": 4.9}, False, Wait()),
        ({"cancel_requested": True}, {"seconds_to_kill": 0.0}, False, Kill()),
        ({"pause_requested": True}, {"seconds_to_kill": -1.0}, False, Kill()),
        # a pause that was taken back does not take back what the worker was asked
        ({}, {"seconds_to_kill": 30.0}, False, Wait()),
        ({}, {"seconds_to_kill": 0.0}, False, Kill()),
        # liveness
        ({}, {"pulse": SILENT}, False, Kill("it showed no life for 200 s and was killed")),
        ({"pause_requested": True}, {"pulse": SILENT, "seconds_to_kill": 9.0}, False,
         Kill("it showed no life for 200 s and was killed")),
        ({"pause_requested": True}, {"pulse": SILENT}, False, Stop(60.0)),
        ({}, {"pulse": STUCK}, False, Kill("it made no progress for 601 s (training) and was killed")),
        # serving takes its devices back: what is left of them, but for the time that a kill takes
        ({}, {"seconds_of_devices": 40.0}, False, Stop(35.0)),
        ({}, {"seconds_of_devices": 600.0}, False, Stop(60.0)),
        ({}, {"seconds_of_devices": 3.0}, False, Stop(0.0)),
        ({}, {"seconds_of_devices": 39.0, "seconds_to_kill": 34.0}, False, Wait()),
        ({}, {"seconds_of_devices": 0.0, "seconds_to_kill": 20.0}, False, Stop(0.0)),
        ({"cancel_requested": True}, {"seconds_of_devices": 40.0}, False, Stop(5.0)),
        ({"pause_requested": True}, {"seconds_of_devices": 10.0}, False, Stop(5.0)),
    ],
)  # fmt: skip
def test_while_a_worker_runs(fields: dict[str, Any], worker: dict[str, Any], stopping: bool, expected: Action) -> None:
    assert next_action(job(**fields), WorkerStatus(**worker), NOW, policy(), stopping) == expected


def estimated(seconds: float, load_seconds: float = 0.0, steps: int = 10) -> RunEstimate:
    return RunEstimate(
        seconds=seconds,
        load_seconds=load_seconds,
        peak_memory_bytes=1,
        disk_bytes=1,
        steps=steps,
        tokens=1,
        basis="test",
    )


@pytest.mark.parametrize(
    ("phase", "stalled", "estimate", "is_hung"),
    [
        # a row of steps: each is progress
        ("training", 600.0, None, False),
        ("training", 600.1, None, True),
        ("evaluating", 600.1, None, True),
        ("reference", 600.1, None, True),
        # a phase that is one long step: compiling, loading, a download
        ("first-step", 1800.0, None, False),
        ("first-step", 1800.1, None, True),
        ("loading", 1700.0, None, False),
        ("starting", 1800.1, None, True),
        ("saving", 1800.1, None, True),
        ("publishing", 1800.1, None, True),
        ("a phase of a later version", 1700.0, None, False),
        # slow steps are no hang: ten times what was estimated of one
        ("training", 999.0, estimated(1000.0), False),
        ("training", 1001.0, estimated(1000.0), True),
        ("training", 601.0, estimated(10.0), True),
        ("first-step", 3999.0, estimated(3000.0, load_seconds=100.0), False),
        ("first-step", 4001.0, estimated(3000.0, load_seconds=100.0), True),
        ("training", 601.0, estimated(10.0, steps=0), True),
    ],
)
def test_a_worker_hangs_if_it_makes_no_progress(
    phase: str, stalled: float, estimate: RunEstimate | None, is_hung: bool
) -> None:
    said = hung(Pulse(1.0, stalled, phase), estimate, policy())
    assert said == (f"it made no progress for {stalled:.0f} s ({phase})" if is_hung else None)


@pytest.mark.parametrize(
    ("fields", "worker", "stopping", "expected"),
    [
        # a crash: back into the queue after a back-off that grows with the failures
        ({}, CRASHED, False, Requeue(delay_seconds=2.0)),
        ({"strikes": 2, "failures": 2}, CRASHED, False, Requeue(delay_seconds=4.0)),
        ({"strikes": 0, "failures": 0, "attempts": 50}, CRASHED, False, Requeue(delay_seconds=1.0)),
        ({"strikes": 3, "attempts": 3}, CRASHED, False, End(JobState.FAILED, InternalError(
            "3 attempts ended without a new checkpoint, 3 in all; the last one: SIGKILL: it logged nothing",
            job_id="job-1", attempts=3))),
        ({"strikes": 3, "error": DEFECT}, CRASHED, False, End(JobState.FAILED, InternalError("broken"))),
        # an outage is no strike, and bounded all the same
        ({"strikes": 3, "failures": 4, "error": OUTAGE}, CRASHED, False, Requeue(delay_seconds=16.0, strikes=-1)),
        ({"strikes": 4, "failures": 4, "error": OUTAGE}, CRASHED, False, End(JobState.FAILED, UnavailableError("no store"))),
        ({"failures": 100, "error": OUTAGE}, CRASHED, False, End(JobState.FAILED, UnavailableError("no store"))),
        ({"attempts": 100, "strikes": 0, "error": OUTAGE}, CRASHED, False,
         End(JobState.FAILED, UnavailableError("no store"))),
        # what was asked comes first, and an attempt that stopped for it does not count
        ({"cancel_requested": True, "pause_requested": True, "strikes": 9}, CRASHED, False, CANCELLED),
        ({"strikes": 9, **LATE}, CRASHED, True, End(JobState.FAILED, deadline_error("job-1", NOW))),
        ({"pause_requested": True, "strikes": 9}, STOPPED_IN_ORDER, True, Requeue(JobState.PAUSED, **UNCOUNTED)),
        ({"strikes": 9}, STOPPED_IN_ORDER, True, Requeue(message=STOPPED, **UNCOUNTED)),
        ({"strikes": 9}, STOPPED_IN_ORDER, False, Requeue(**UNCOUNTED)),  # paused, and resumed before it had stopped
    ],
)  # fmt: skip
def test_after_a_worker_has_ended(
    fields: dict[str, Any], worker: WorkerStatus, stopping: bool, expected: Action
) -> None:
    assert alike(next_action(job(**fields), worker, NOW, policy(), stopping), expected)


@pytest.mark.parametrize(
    ("fields", "strikes", "what", "expected"),
    [
        ({"strikes": 0, "failures": 0}, 1, "", Requeue(message="broken", delay_seconds=2.0, strikes=1, failures=1)),
        ({"strikes": 1, "failures": 2}, 0, "it could not be done",
         Requeue(message="it could not be done, again in 8 s: broken", delay_seconds=8.0, failures=1)),
        ({"strikes": 2, "failures": 2}, 1, "", None),
        ({"strikes": 2, "failures": 2}, 0, "", Requeue(message="broken", delay_seconds=8.0, failures=1)),
        ({"strikes": 0, "failures": 99}, 0, "", None),
    ],
)  # fmt: skip
def test_a_failure_that_no_worker_reported(
    fields: dict[str, Any], strikes: int, what: str, expected: Requeue | None
) -> None:
    error = PreconditionError("broken")
    action = after_failure(job(state=JobState.PREPARING, **fields), error, policy(), strikes, what)
    if expected is None:
        assert alike(action, End(JobState.FAILED, error))
    else:
        assert isinstance(action, Requeue)
        assert action.error is error
        assert alike(Requeue(**{**vars(action), "error": None}), expected)


def test_back_off_doubles_up_to_its_limit() -> None:
    bounded = policy(retry_delay_seconds=2, retry_delay_max_seconds=60)
    assert [bounded.retry_after_seconds(failures) for failures in (1, 2, 3, 5, 6, 5000)] == [2, 4, 8, 32, 60, 60]


def test_each_field_of_the_policy_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_TRAINER_BASE_MODEL", "/models/base")
    monkeypatch.setenv("BURNISH_TRAINER_MAX_ATTEMPTS", "7")
    made = Policy.from_settings(TrainerSettings(), 4)
    assert (made.max_attempts, made.lease_seconds, made.keep_checkpoints) == (7, 30.0, "all")
