"""A trainer in memory for sweeps: jobs whose validation losses follow from their spec, and that end when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from burnish.errors import AlreadyExistsError, InvalidInputError, PreconditionError
from burnish_protos.trainer.v1.trainer_pb2 import StepMetrics, TuningJob, TuningJobEvent, TuningSpec

STEPS, EVALUATIONS = 50, 5
Curve = Callable[[TuningSpec], list[float]]


def by_learning_rate(spec: TuningSpec) -> list[float]:
    """Falls to the distance of the learning rate from 1e-4, in powers of ten; never crosses another."""
    import math

    distance = abs(math.log10(spec.optimizer.learning_rate) + 4)
    return [distance + 1 / (evaluation + 1) for evaluation in range(EVALUATIONS)]


class ScriptedTrainer:
    """Idempotent by request id, as the real one. refuse: a spec it is true for is refused; fail: its job fails when watched."""

    def __init__(
        self,
        curve: Curve = by_learning_rate,
        *,
        refuse: Callable[[TuningSpec], bool] = lambda spec: False,
        fail: Callable[[TuningSpec], bool] = lambda spec: False,
    ) -> None:
        self._curve, self._refuse, self._fail = curve, refuse, fail
        self.jobs: dict[str, TuningJob] = {}
        self.by_request: dict[str, str] = {}
        self.created: list[str] = []
        self.cancelled: list[str] = []
        self.at_once = self.most_at_once = 0
        self.stop_at: Callable[[str], None] = lambda point: None  # a test raises here, as a kill would

    def create_job(
        self, spec: TuningSpec, request_id: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> TuningJob:
        assert request_id is not None
        self.stop_at("before create")
        if self._refuse(spec):
            raise InvalidInputError("optimizer.learning_rate: too much")
        if request_id not in self.by_request:
            job_id = f"job-{len(self.jobs)}"
            self.by_request[request_id] = job_id
            self.created.append(job_id)
            self.jobs[job_id] = TuningJob(
                job_id=job_id, spec=spec, state=TuningJob.STATE_RUNNING, request_id=request_id, labels=labels
            )
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        job = self.jobs[self.by_request[request_id]]
        if job.spec != spec:
            raise AlreadyExistsError("another spec stands under this request id")
        self.stop_at("after create")
        return job

    def get_job(self, job_id: str) -> TuningJob:
        self.stop_at("before get")
        job = self.jobs[job_id]
        if job.state == TuningJob.STATE_RUNNING:
            fails = self._fail(job.spec)
            self._end(job, TuningJob.STATE_FAILED if fails else TuningJob.STATE_SUCCEEDED)
            job.adapter.name, job.adapter.version = job.spec.adapter_name, f"{len(self.jobs):016x}"
            job.error.message = "it broke" if fails else ""
        return job

    def cancel_job(self, job_id: str) -> TuningJob:
        self.stop_at("before cancel")
        if self.jobs[job_id].state != TuningJob.STATE_RUNNING:
            raise PreconditionError(f"{job_id} has ended")
        self._end(self.jobs[job_id], TuningJob.STATE_CANCELLED)
        self.cancelled.append(job_id)
        self.stop_at("after cancel")
        return self.jobs[job_id]

    def watch(self, job_id: str, after_sequence: int = 0) -> Iterator[TuningJobEvent]:
        """Every evaluation there would be, also of a job that was cancelled: the sweep has to stop listening itself."""
        job = self.jobs[job_id]
        yield TuningJobEvent(sequence=1, state_change=TuningJob.STATE_RUNNING)
        losses = self._curve(job.spec)
        for number, loss in enumerate(losses, start=1):
            step = number * STEPS // len(losses)
            metrics = StepMetrics(step=step, total_steps=STEPS, validation_loss=loss)
            yield TuningJobEvent(sequence=1 + number, metrics=metrics)

    def _end(self, job: TuningJob, state: TuningJob.State) -> None:
        job.state = state
        self.at_once -= 1
