"""Wiring of the curator: services from dependencies, routers into one FastAPI application. Tests call it as main.py does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from sqlalchemy import Engine
from starlette.exceptions import HTTPException

from burnish.asgi.access import TokenCheck
from burnish.asgi.bodies import BodyLimits
from burnish.curation.lengths import Lengths
from burnish.errors import BurnishError
from burnish.ports import ObjectStore
from burnish.runlogs.traces.scores import Rule
from burnish.telemetry.requests import RequestMiddleware
from burnish.telemetry.tracing import Tracing
from burnish_curator import health, metrics
from burnish_curator.access import Access, SignInDelay, needs_no_token
from burnish_curator.benchmarks import endpoints as benchmarks_endpoints
from burnish_curator.benchmarks.repository import BenchmarkRepository
from burnish_curator.clusterings import endpoints as clusterings_endpoints
from burnish_curator.clusterings.repository import ClusteringRepository
from burnish_curator.clusterings.service import ClusteringService
from burnish_curator.datasets import endpoints as datasets_endpoints
from burnish_curator.datasets.repository import DatasetRepository
from burnish_curator.datasets.service import DatasetService
from burnish_curator.erasures import endpoints as erasures_endpoints
from burnish_curator.erasures.service import ErasureService
from burnish_curator.errors import ERROR_RESPONSES, install_error_handlers, no_token, unexpected
from burnish_curator.evals import endpoints as evals_endpoints
from burnish_curator.evals.repository import EvalRepository
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.requests import body_limit, known_query
from burnish_curator.reviews import endpoints as reviews_endpoints
from burnish_curator.reviews.deciding import QueueService
from burnish_curator.reviews.leases import LeaseRepository
from burnish_curator.reviews.repository import CorrectionRepository
from burnish_curator.reviews.service import ReviewService
from burnish_curator.reviews.suggestions import endpoints as suggestions_endpoints
from burnish_curator.reviews.suggestions.repository import SuggestionRepository
from burnish_curator.reviews.suggestions.service import SuggestionService
from burnish_curator.reviews.web import pages, queue_pages
from burnish_curator.runlogs import endpoints as runlogs_endpoints
from burnish_curator.runlogs.repository import CACHE_BYTES, RunLogRepository
from burnish_curator.settings import MAX_UPLOAD_BYTES
from burnish_curator.traces import endpoints as traces_endpoints
from burnish_curator.traces.erasing import TraceErasing
from burnish_curator.traces.service import TraceService

_log = logging.getLogger("burnish_curator.requests")
SPOOL_WRITES_AT_ONCE = 4
REPEAT_SECONDS = 15
TOKEN = HTTPBearer(scheme_name="token", auto_error=False)  # for the schema: TokenCheck has looked at it before

DESCRIPTION = """Run logs in, reviewed datasets out.

Every call but `/healthz` and `/readyz` needs `Authorization: Bearer <token>`. An error is
`{"error": {"code", "reason", "message", "metadata", "request_id"}}`; `reason` is stable, `message` says what to do."""


@dataclass(frozen=True)
class Deps:
    """Everything from outside. cache_dir belongs to this application alone. Without metrics and tracing, nothing is reported."""

    store: ObjectStore
    database: Engine
    cache_dir: Path
    token: str
    lengths: Lengths
    metrics: CuratorMetrics = field(default_factory=CuratorMetrics)
    tracing: Tracing = field(default_factory=lambda: Tracing("burnish-curator"))
    max_upload_bytes: int = MAX_UPLOAD_BYTES
    cache_bytes: int = CACHE_BYTES
    traces_seconds: float = 3600.0
    traces_rules: Mapping[str, Rule] = field(default_factory=dict)


def create_app(deps: Deps) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        work = {
            "waiting traces could not be cut": app.state.traces.cut_due,
            "an erasure could not be ended": app.state.erasures.go_on,
        }
        repeated = [asyncio.create_task(_repeat(call, failure)) for failure, call in work.items()]
        yield
        for task in repeated:
            task.cancel()
        # Here, because uvicorn ends the process itself, by the signal that stopped it.
        await asyncio.to_thread(deps.tracing.close)

    app = FastAPI(
        title="Burnish curator",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # a redirect would name the host that the caller made up
    )
    install_error_handlers(app)
    access = Access(deps.token)
    app.add_middleware(TokenCheck, token=deps.token, is_open=needs_no_token, refusal=no_token)
    app.add_middleware(BodyLimits, limit_of=body_limit(access), failure=HTTPException)
    app.add_middleware(
        RequestMiddleware, seconds=deps.metrics.requests, spans=deps.tracing, log=_log, failure=unexpected
    )
    spool = deps.cache_dir / "spool"
    clusterings = ClusteringRepository(deps.store)
    run_logs = RunLogRepository(deps.store, deps.cache_dir, spool, deps.metrics, deps.cache_bytes, clusterings)
    corrections, suggestions = CorrectionRepository(deps.database), SuggestionRepository(deps.database)
    datasets = DatasetRepository(deps.store, deps.cache_dir)
    benchmarks = BenchmarkRepository(deps.store, deps.cache_dir)
    app.state.access = access
    app.state.spool = spool
    app.state.spool_writes = anyio.CapacityLimiter(SPOOL_WRITES_AT_ONCE)
    app.state.max_upload_bytes = deps.max_upload_bytes
    app.state.sign_in_delay = SignInDelay()
    app.state.readiness = health.Readiness(deps.store, deps.database)
    app.state.metrics = deps.metrics
    app.state.run_logs = run_logs
    app.state.clusterings = clusterings
    app.state.clustering_service = ClusteringService(run_logs, clusterings, spool)
    app.state.reviews = ReviewService(deps.store, run_logs, corrections, suggestions, deps.metrics)
    app.state.review_queue = QueueService(
        run_logs, corrections, suggestions, LeaseRepository(deps.database), deps.metrics
    )
    app.state.suggestions = SuggestionService(run_logs, app.state.review_queue, suggestions, benchmarks)
    app.state.datasets = datasets
    app.state.dataset_service = DatasetService(
        datasets, run_logs, corrections, suggestions, benchmarks, deps.lengths, deps.metrics
    )
    app.state.benchmarks = benchmarks
    app.state.traces = TraceService(deps.store, run_logs, spool, deps.traces_seconds, deps.traces_rules)
    app.state.evals = EvalRepository(deps.store, spool, deps.cache_dir)
    app.state.erasures = ErasureService(
        deps.store,
        run_logs,
        app.state.reviews,
        datasets,
        app.state.evals,
        TraceErasing(app.state.traces),
        deps.lengths,
        spool,
    )

    app.add_api_route("/openapi.json", app.openapi, include_in_schema=False)
    app.include_router(health.router)
    app.include_router(pages.router)
    app.include_router(queue_pages.router)
    for part in (
        runlogs_endpoints,
        clusterings_endpoints,
        traces_endpoints,
        reviews_endpoints,
        suggestions_endpoints,
        datasets_endpoints,
        benchmarks_endpoints,
        evals_endpoints,
        erasures_endpoints,
        metrics,
    ):
        app.include_router(part.router, dependencies=[Depends(TOKEN), Depends(known_query)], responses=ERROR_RESPONSES)
    return app


async def _repeat(call: Callable[[], None], failure: str) -> None:
    """At once and every 15 s, until it is cancelled; what goes wrong is logged and not the end of it."""
    while True:
        try:
            await asyncio.to_thread(call)
        except BurnishError as error:
            _log.warning("%s: %s", failure, error.message)
        except Exception:
            _log.exception(failure)
        await asyncio.sleep(REPEAT_SECONDS)
