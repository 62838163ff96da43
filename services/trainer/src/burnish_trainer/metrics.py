"""What the trainer counts: calls, the queue, jobs, and what workers report in the events that the engine reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from burnish.errors import UnavailableError
from burnish.schemas.training.job_state import JobState
from burnish.telemetry import metrics
from burnish_trainer.executors.events import CheckpointSaved, Event, Metrics, Referenced
from burnish_trainer.queue.jobs import Job

STEP_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class TrainerMetrics:
    """Over a registry of this trainer's own. Counters begin at 0 with the process; the queue's depth is read from the queue."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or metrics.new_registry()
        self.calls = metrics.request_histogram("trainer", metrics.RPC_LABELS, self.registry)
        self._ended = self._counter("jobs_ended", "Jobs ended, by their state and method", "state", "method")
        self._attempts = self._counter("attempts", "Workers started for jobs", "method")
        self._restarts = self._counter("restarts", "Workers started for jobs that had one before", "method")
        self._tokens = self._counter(
            "trained_tokens", "Tokens that training steps processed, padding left out", "method"
        )
        self._checkpoints = self._counter("checkpoints", "Complete checkpoints", "method")
        self._references = self._counter("reference_cache", "Reference passes asked of the object store", "result")
        self._steps = self._histogram("step_seconds", "Seconds of a training step", STEP_SECONDS, "method")
        self._preparations = self._histogram(
            "preparation_seconds", "Seconds of preflight and estimate of a job", metrics.WORK_SECONDS, "result"
        )

    def watch_queue(self, count: Callable[[], Mapping[JobState, int]]) -> None:
        """Report the queue's depth at each scrape, by calling `count`."""
        self.registry.register(QueueDepth(count))

    def ended(self, job: Job) -> None:
        """A change has been made to a job; if the job has ended, this change ended it."""
        if job.state.ended:
            self._ended.labels(job.state.value, job.spec.method).inc()

    def attempt(self, job: Job) -> None:
        """A worker is about to be started for it."""
        self._attempts.labels(job.spec.method).inc()
        if job.attempts > 1:
            self._restarts.labels(job.spec.method).inc()

    def prepared(self, result: Literal["passed", "refused", "failed", "interrupted"], seconds: float) -> None:
        self._preparations.labels(result).observe(seconds)

    def reported(self, job: Job, events: Sequence[Event]) -> None:
        """What a worker reported, once the queue has it. Steps reported again after a resume were counted before."""
        method = job.spec.method
        for event in events:
            match event:
                case Metrics(repeated=False, step_seconds=float(seconds), tokens=int(tokens)):
                    self._steps.labels(method).observe(seconds)
                    self._tokens.labels(method).inc(tokens)
                case CheckpointSaved():
                    self._checkpoints.labels(method).inc()
                case Referenced():
                    self._references.labels("hit" if event.cached else "miss").inc()

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"burnish_trainer_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"burnish_trainer_{name}", meaning, labels, registry=self.registry, buckets=buckets)


class QueueDepth(Collector):
    """Jobs by state, as the database has them at the time of the scrape: the same for all trainers that share it.

    While the database does not answer the family has no samples, so that it does not look like an empty queue.
    """

    def __init__(self, count: Callable[[], Mapping[JobState, int]]) -> None:
        self._count = count

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Registering needs only the name, not the database."""
        yield self._family()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = self._family()
        try:
            for state, count in self._count().items():
                family.add_metric([state.value], count)
        except UnavailableError:
            pass
        yield family

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily("burnish_trainer_queue_jobs", "Jobs that have not ended, by state", labels=["state"])
