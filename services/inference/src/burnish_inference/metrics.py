"""What the server counts, and its page for Prometheus, to which vLLM's own metrics are joined."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from burnish.errors import BurnishError, IncompatibleAdapterError, UnavailableError
from burnish.telemetry import metrics
from burnish_inference.engine.port import Engine

log = logging.getLogger(__name__)

VLLM_TIMEOUT = aiohttp.ClientTimeout(total=5)
LOAD_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
Target = Literal["base", "adapter"]


class InferenceMetrics:
    """Has a registry of this application alone."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or metrics.new_registry()
        self.requests = metrics.request_histogram("inference", metrics.HTTP_LABELS, self.registry)
        self._loads = Histogram(
            "burnish_inference_adapter_load_seconds",
            "Seconds from an adapter's first use to its being registered in vLLM, by how that ended",
            ("result",),
            registry=self.registry,
            buckets=LOAD_SECONDS,
        )
        self._folders = Counter(
            "burnish_inference_adapter_folders",
            "Adapter folders asked of the local cache",
            ("result",),
            registry=self.registry,
        )
        self._proxied = Counter(
            "burnish_inference_proxied_requests",
            "Completions passed on to vLLM, by who was asked and the status of the answer (499: the caller went away)",
            ("target", "status"),
            registry=self.registry,
        )
        self._first_byte = Histogram(
            "burnish_inference_first_byte_seconds",
            "Seconds from passing a completion on to the first byte of its answer; without a stream that is the whole answer",
            ("target", "stream"),
            registry=self.registry,
            buckets=metrics.REQUEST_SECONDS,
        )
        self._ready = Gauge("burnish_inference_engine_ready", "1 if vLLM answers", registry=self.registry)
        self.registered = Gauge(
            "burnish_inference_adapters_registered",
            "Adapter versions that the running vLLM knows",
            registry=self.registry,
        )

    @contextmanager
    def load(self) -> Iterator[None]:
        """Around one load of an adapter."""
        started, result = time.perf_counter(), "failed"
        try:
            yield
            result = "loaded"
        except IncompatibleAdapterError:
            result = "incompatible"
            raise
        except UnavailableError:
            result = "unavailable"
            raise
        finally:
            self._loads.labels(result).observe(time.perf_counter() - started)

    def folder(self, is_cached: bool) -> None:
        self._folders.labels("hit" if is_cached else "miss").inc()

    def first_byte(self, target: Target, is_stream: bool, seconds: float) -> None:
        self._first_byte.labels(target, str(is_stream).lower()).observe(seconds)

    def proxied(self, target: Target, status: int) -> None:
        self._proxied.labels(target, str(status)).inc()

    async def page(self, engine: Engine, upstream: aiohttp.ClientSession) -> bytes:
        """Our metrics, then vLLM's; while vLLM does not answer ours alone, with engine_ready 0."""
        of_vllm = await self._of_vllm(engine, upstream)
        self._ready.set(of_vllm is not None)
        ours = await asyncio.to_thread(metrics.exposition, self.registry)
        return ours + without_families(of_vllm or b"", family_names(ours))

    async def _of_vllm(self, engine: Engine, upstream: aiohttp.ClientSession) -> bytes | None:
        try:
            async with upstream.get(
                f"{engine.url}/metrics", headers={"Accept": metrics.CONTENT_TYPE}, timeout=VLLM_TIMEOUT
            ) as answer:
                return await answer.read() if answer.ok else None
        except (BurnishError, aiohttp.ClientError, TimeoutError):
            return None


class Lender(Protocol):
    """What device/keeper.py knows of the lease."""

    @property
    def is_lent(self) -> bool: ...

    @property
    def lent_seconds(self) -> float: ...


class DeviceLent(Collector):
    """Read at each scrape."""

    def __init__(self, lender: Lender) -> None:
        self._lender = lender

    def collect(self) -> Iterator[Metric]:
        lent = "burnish_inference_device_lent"
        yield GaugeMetricFamily(lent, "1 while a training job has vLLM's device", value=self._lender.is_lent)
        seconds = self._lender.lent_seconds
        yield CounterMetricFamily(f"{lent}_seconds", "Seconds that training jobs have had vLLM's device", value=seconds)


class EngineRestarts(Collector):
    """The supervisor's own count, read at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(
            "burnish_inference_engine_restarts", "Times that vLLM was started again", value=self._engine.restarts
        )


def family_names(exposition: bytes) -> set[bytes]:
    """Names in the TYPE lines of a page in Prometheus's text format."""
    return {line.split(b" ", 3)[2] for line in exposition.splitlines() if line.startswith(b"# TYPE ")}


def without_families(exposition: bytes, names: set[bytes]) -> bytes:
    """The page without the families of these names, so that no name is twice on a joined page.

    A family is its HELP and TYPE lines and the samples up to the next such line, as every Prometheus client writes it.
    """
    kept, family = [], b""
    for line in exposition.splitlines(keepends=True):
        if line.startswith((b"# HELP ", b"# TYPE ")):
            family = line.split(b" ", 3)[2].rstrip()
        if family not in names:
            kept.append(line)
    return b"".join(kept)
