"""Wiring of the curator: services from dependencies, routers into one FastAPI application. Tests call it as main.py does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Depends, FastAPI
from sqlalchemy import Engine

from burnish.curation.lengths import Lengths
from burnish.ports import ObjectStore
from burnish.telemetry.requests import RequestTelemetry
from burnish.telemetry.tracing import Tracing
from burnish_curator import health, metrics
from burnish_curator.access import Access, BearerToken, SignInDelay
from burnish_curator.benchmarks import endpoints as benchmarks
from burnish_curator.benchmarks.repository import BenchmarkRepository
from burnish_curator.benchmarks.service import BenchmarkService
from burnish_curator.datasets import endpoints as datasets
from burnish_curator.datasets.repository import DatasetRepository
from burnish_curator.datasets.service import DatasetService
from burnish_curator.errors import ERROR_RESPONSES, install_error_handlers
from burnish_curator.evals import endpoints as evals
from burnish_curator.evals.repository import EvalRepository
from burnish_curator.evals.service import EvalService
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.reviews import endpoints as reviews
from burnish_curator.reviews import pages
from burnish_curator.reviews.repository import CorrectionRepository
from burnish_curator.reviews.service import ReviewService
from burnish_curator.runlogs import endpoints as runlogs
from burnish_curator.runlogs.repository import RunLogRepository
from burnish_curator.runlogs.service import RunLogService

_log = logging.getLogger("burnish_curator.requests")

DESCRIPTION = """Run logs in, reviewed datasets out.

Every call but `/healthz` and `/readyz` wants `Authorization: Bearer <token>`. An error is
`{"error": {"code", "reason", "message", "metadata", "request_id"}}`; `reason` is stable, `message` says what to do."""


@dataclass(frozen=True)
class Deps:
    """Everything from outside. cache_dir belongs to this application alone; metrics and tracing, left out, go nowhere."""

    store: ObjectStore
    database: Engine
    cache_dir: Path
    token: str
    lengths: Lengths
    metrics: CuratorMetrics = field(default_factory=CuratorMetrics)
    tracing: Tracing = field(default_factory=lambda: Tracing("burnish-curator"))


def create_app(deps: Deps) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(
            deps.tracing.close
        )  # here: uvicorn ends the process itself, by the signal that stopped it

    app = FastAPI(
        title="Burnish curator",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    install_error_handlers(app, RequestTelemetry(deps.metrics.requests, deps.tracing, _log))
    spool = deps.cache_dir / "spool"
    run_logs = RunLogRepository(deps.store, deps.cache_dir, deps.metrics)
    corrections = CorrectionRepository(deps.database)
    benchmark_repository = BenchmarkRepository(deps.store)

    app.state.access = Access(deps.token)
    app.state.sign_in_delay = SignInDelay()
    app.state.health = health.Health(deps.store, deps.database)
    app.state.metrics = deps.metrics
    app.state.run_logs = RunLogService(run_logs, spool, deps.metrics)
    app.state.reviews = ReviewService(run_logs, corrections, deps.metrics)
    app.state.datasets = DatasetService(
        DatasetRepository(deps.store), run_logs, corrections, benchmark_repository, deps.lengths, deps.metrics
    )
    app.state.benchmarks = BenchmarkService(benchmark_repository)
    app.state.evals = EvalService(EvalRepository(deps.store), spool)

    app.add_api_route("/openapi.json", app.openapi, include_in_schema=False, dependencies=[Depends(BearerToken())])
    app.include_router(health.router)
    app.include_router(pages.router)
    for noun in (runlogs, reviews, datasets, benchmarks, evals, metrics):
        app.include_router(noun.router, dependencies=[Depends(BearerToken())], responses=ERROR_RESPONSES)
    return app
