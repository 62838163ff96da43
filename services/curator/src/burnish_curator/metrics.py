"""What the curator counts, and the endpoint that shows it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from prometheus_client import CollectorRegistry, Counter, Histogram

from burnish.schemas.review import CORRECTIONS, PREFERENCES, ReviewState
from burnish.schemas.runlog import ReviewImport, RunLogImport
from burnish.telemetry import metrics
from burnish_curator.errors import Responses
from burnish_curator.requests import state

BuildResult = Literal["new", "known", "refused"]
router = APIRouter(tags=["metrics"])
PAGE: Responses = {200: {"description": "The page", "content": {"text/plain": {"schema": {"type": "string"}}}}}


class CuratorMetrics:
    """Has a registry of this application alone."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or metrics.new_registry()
        self.requests = metrics.request_histogram("curator", metrics.HTTP_LABELS, self.registry)
        self._lines = self._counter("run_log_lines", "Lines of imported run logs, by what became of them", "result")
        self._corrections = self._counter("corrections", "Decisions of reviews, by what became of them", "result")
        self._parts = self._counter("part_cache", "Run log parts asked of the local cache", "result")
        self._builds = Histogram(
            "burnish_curator_dataset_build_seconds",
            "Seconds of building a dataset version, by its format and whether it was refused",
            ("format", "result"),
            registry=self.registry,
            buckets=metrics.WORK_SECONDS,
        )

    def imported(self, done: RunLogImport) -> None:
        self._lines.labels("accepted").inc(done.manifest.accepted)
        self._lines.labels("rejected").inc(done.manifest.rejected)

    def reviewed(self, done: ReviewImport) -> None:
        self._corrections.labels("accepted").inc(done.accepted)
        self._corrections.labels("rejected").inc(len(done.rejected_lines))
        self._corrections.labels("preferred").inc(done.preferred)
        self._corrections.labels("set_aside").inc(done.set_aside)

    def decided(self, state: ReviewState, count: int = 1) -> None:
        """Decisions about single questions, or about many at once."""
        results: dict[ReviewState, str] = {"open": "removed"}
        results |= dict.fromkeys(CORRECTIONS, "accepted") | dict.fromkeys(PREFERENCES, "preferred")
        self._corrections.labels(results.get(state, "set_aside")).inc(count)

    def part(self, is_cached: bool) -> None:
        self._parts.labels("hit" if is_cached else "miss").inc()

    def built(self, form: str, result: BuildResult, seconds: float) -> None:
        self._builds.labels(form, result).observe(seconds)

    def _counter(self, name: str, meaning: str, label: str) -> Counter:
        return Counter(f"burnish_curator_{name}", meaning, (label,), registry=self.registry)


@router.get("/metrics", summary="Metrics in Prometheus's text format", response_class=Response, responses=PAGE)
def read_metrics(counted: Annotated[CuratorMetrics, Depends(state("metrics"))]) -> Response:
    return Response(metrics.exposition(counted.registry), media_type=metrics.CONTENT_TYPE)
