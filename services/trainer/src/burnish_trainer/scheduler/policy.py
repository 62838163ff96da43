"""What is to be done with a job, decided from data alone: no clock, no queue, no process.

attempt.py asks `next_action` at every look at a job that it holds, preparation.py and engine.py ask `after_failure`; they act on
the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from burnish.errors import BurnishError, Code, InternalError, from_dict
from burnish.schemas.training.job_state import JobState
from burnish.schemas.training.tuning import RunEstimate
from burnish_trainer.artifacts.checkpoint_models import Keep
from burnish_trainer.executors import Pulse
from burnish_trainer.queue.jobs import Job, deadline_error

if TYPE_CHECKING:
    from burnish_trainer.settings import TrainerSettings

STOPPED = "the trainer stopped; the job is queued again"
ABANDONED = "the trainer ended while it ran"
STEPPING = frozenset(
    {"reference", "training", "evaluating"}
)  # phases that are a row of steps, each of which is progress
SLOWER = 10.0  # times the estimate of a step: a worker slower than that hangs


@dataclass(frozen=True)
class Policy:
    """How patient the engine is. settings.py has each field's default, environment variable and meaning.

    poll_seconds: between two looks at a worker; renew_seconds: between two renewals of a running job's lease, by which a
    request that came to another trainer on the same database is seen; kill_seconds: a killed worker may take to free its device.
    """

    workers: int
    max_attempts: int
    max_total_attempts: int
    retry_delay_seconds: float
    retry_delay_max_seconds: float
    heartbeat_timeout_seconds: float
    step_timeout_seconds: float
    phase_timeout_seconds: float
    cancel_grace_seconds: float
    stop_grace_seconds: float
    lease_seconds: float
    keep_checkpoints: Keep
    device_lease_seconds: float = 120.0
    hosted_jobs: int = 4
    poll_seconds: float = 0.2
    renew_seconds: float = 1.0
    kill_seconds: float = 5.0

    @classmethod
    def from_settings(cls, settings: TrainerSettings, hosted_jobs: int) -> Policy:
        return cls(**settings.model_dump(include={field.name for field in fields(cls)}), hosted_jobs=hosted_jobs)

    def retry_after_seconds(self, failures: int) -> float:
        """Exponential back-off after so many failures one after the other."""
        doubled = self.retry_delay_seconds * 2.0 ** min(failures - 1, 60)
        return min(doubled, self.retry_delay_max_seconds)

    def exhausted(self, attempts: int, strikes: int, failures: int) -> bool:
        """Whether a job may not be tried again."""
        return strikes >= self.max_attempts or max(attempts, failures) >= self.max_total_attempts


@dataclass(frozen=True)
class WorkerStatus:
    """The worker of the current attempt, as last seen.

    ended: how it ended, for people; None while it runs. pulse: None if nothing is known. seconds_to_kill: what is left of the
    time it was given when it was asked to stop; None if it was not asked. seconds_of_devices: until it must have left its
    devices, since serving takes them back; None if it may stay.
    """

    ended: str | None = None
    pulse: Pulse | None = None
    seconds_to_kill: float | None = None
    seconds_of_devices: float | None = None


@dataclass(frozen=True)
class Start:
    """Start a worker for the job's next attempt."""


@dataclass(frozen=True)
class Wait:
    """Look again later."""


@dataclass(frozen=True)
class Stop:
    """Ask the worker to save a checkpoint and end, and give it this long."""

    grace_seconds: float


@dataclass(frozen=True)
class Kill:
    """reason: why, for people; empty if its time to stop is over."""

    reason: str = ""


@dataclass(frozen=True)
class Requeue:
    """Put the job back into the queue, or PAUSED. The fields are those of JobRepository.requeue."""

    state: JobState = JobState.PENDING
    message: str = ""
    delay_seconds: float = 0.0
    error: BurnishError | None = None
    strikes: int = 0
    failures: int = 0


@dataclass(frozen=True)
class End:
    """End the job: CANCELLED, or FAILED with an error."""

    state: JobState
    error: BurnishError | None = None


@dataclass(frozen=True)
class Done:
    """The job is out of this engine's hands: its worker has reported its end."""


Action: TypeAlias = Start | Wait | Stop | Kill | Requeue | End | Done


def next_action(job: Job, worker: WorkerStatus | None, now: datetime, policy: Policy, stopping: bool = False) -> Action:
    """What is to be done with a job that this engine holds.

    worker: None before the next attempt is started. stopping: the engine has been told to stop.
    """
    if job.state is not JobState.RUNNING:
        return Done()
    if worker is not None and worker.ended is None:
        return _while_it_runs(job, worker, now, policy, stopping)
    if job.cancel_requested:
        return End(JobState.CANCELLED)
    if job.deadline is not None and job.deadline <= now:
        return End(JobState.FAILED, deadline_error(job.job_id, job.deadline))
    uncounted = -1 if worker else 0  # an attempt that was stopped in order does not count
    if job.pause_requested:
        return Requeue(JobState.PAUSED, strikes=uncounted, failures=uncounted)
    if stopping:
        return Requeue(message=STOPPED, strikes=uncounted, failures=uncounted)
    if worker is not None and worker.seconds_to_kill is not None:  # asked to pause, and resumed before it had stopped
        return Requeue(strikes=uncounted, failures=uncounted)
    # an attempt that failed because of an outage is no strike against the job
    outage = -1 if worker and job.error and job.error["code"] == Code.UNAVAILABLE.name else 0
    if policy.exhausted(job.attempts, job.strikes + outage, job.failures):
        return End(JobState.FAILED, _exhausted(job, worker.ended if worker else ABANDONED))
    if worker is None:
        return Start()
    return Requeue(delay_seconds=policy.retry_after_seconds(job.failures), strikes=outage)


def _while_it_runs(job: Job, worker: WorkerStatus, now: datetime, policy: Policy, stopping: bool) -> Action:
    grace: float | None = None
    if job.cancel_requested:
        grace = policy.cancel_grace_seconds
    elif stopping or job.pause_requested or (job.deadline is not None and job.deadline <= now):
        grace = policy.stop_grace_seconds
    if worker.seconds_of_devices is not None:
        left = min(policy.stop_grace_seconds, max(0.0, worker.seconds_of_devices - policy.kill_seconds))
        grace = left if grace is None else min(grace, left)
    if grace is not None and (worker.seconds_to_kill is None or grace < worker.seconds_to_kill):
        return Stop(grace)
    if worker.seconds_to_kill is not None and worker.seconds_to_kill <= 0:
        return Kill()
    if worker.pulse is not None and (fault := hung(worker.pulse, job.estimate, policy)):
        return Kill(f"{fault} and was killed")
    return Wait()


def hung(pulse: Pulse, estimate: RunEstimate | None, policy: Policy) -> str | None:
    """How long a worker that hangs has done nothing, for people; None if it may still be at work.

    A process that is stopped shows no life. One that is stuck, in a collective or a download, lives and makes no progress:
    each phase has a limit, and a job whose steps are estimated to be long has as much more.
    """
    if pulse.silent_seconds > policy.heartbeat_timeout_seconds:
        return f"it showed no life for {pulse.silent_seconds:.0f} s"
    limit = policy.step_timeout_seconds if pulse.phase in STEPPING else policy.phase_timeout_seconds
    if estimate is not None:
        limit = max(limit, SLOWER * (estimate.load_seconds + estimate.seconds / max(estimate.steps, 1)))
    if pulse.stalled_seconds > limit:
        return f"it made no progress for {pulse.stalled_seconds:.0f} s ({pulse.phase})"
    return None


def after_failure(job: Job, error: BurnishError, policy: Policy, strikes: int, what: str = "") -> Requeue | End:
    """What follows a failure of preparation or of the engine itself: another try after a back-off, or the job's end.

    strikes: 1 if the failure is held against the job. what: what could not be done, for people.
    """
    failures = job.failures + 1
    if policy.exhausted(job.attempts, job.strikes + strikes, failures):
        return End(JobState.FAILED, error)
    delay = policy.retry_after_seconds(failures)
    message = f"{what}, again in {delay:.3g} s: {error.message}" if what else error.message
    return Requeue(message=message, delay_seconds=delay, error=error, strikes=strikes, failures=1)


def _exhausted(job: Job, reason: str | None) -> BurnishError:
    """The last error that a worker reported, else what is known of its end."""
    if job.error:
        return from_dict(job.error)
    return InternalError(
        f"{job.strikes} attempts ended without a new checkpoint, {job.attempts} in all; the last one: {reason}",
        job_id=job.job_id,
        attempts=job.attempts,
    )
