"""What metrics of all services have in common: a registry of their own each, and the same buckets, so that panels compare.

Needs burnish-core[metrics]. A service's own metrics are in its metrics.py. Names: burnish_<service>_…, base units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Histogram

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
WORK_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


HTTP_LABELS = ("method", "route", "status")
RPC_LABELS = ("method", "status")


def new_registry() -> CollectorRegistry:
    """Empty but for the process itself: CPU seconds, memory, open files, start time."""
    from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside every counter, for servers older than Prometheus 2.39
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def request_histogram(service: str, labels: tuple[str, ...], registry: CollectorRegistry) -> Histogram:
    """burnish_<service>_request_seconds; its _count counts the requests."""
    from prometheus_client import Histogram

    return Histogram(
        f"burnish_{service}_request_seconds",
        "Seconds from a request's arrival to the end of its answer",
        labels,
        registry=registry,
        buckets=REQUEST_SECONDS,
    )


def exposition(registry: CollectorRegistry) -> bytes:
    """Everything in it in Prometheus's text format (CONTENT_TYPE). Runs the collectors: call it from a thread if they ask a database."""
    from prometheus_client import generate_latest

    return generate_latest(registry)


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
