"""Wiring of the curator: services from dependencies, routers into one FastAPI application. Tests call it as main.py does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import Depends, FastAPI
from sqlalchemy import Engine

from burnish.curation.lengths import Lengths
from burnish.ports import ObjectStore
from burnish_curator import health
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
from burnish_curator.reviews import endpoints as reviews
from burnish_curator.reviews import pages
from burnish_curator.reviews.repository import CorrectionRepository
from burnish_curator.reviews.service import ReviewService
from burnish_curator.runlogs import endpoints as runlogs
from burnish_curator.runlogs.repository import RunLogRepository
from burnish_curator.runlogs.service import RunLogService

DESCRIPTION = """Run logs in, reviewed datasets out.

Every call but `/healthz` and `/readyz` wants `Authorization: Bearer <token>`. An error is
`{"error": {"code", "reason", "message", "metadata", "request_id"}}`; `reason` is stable, `message` says what to do."""


@dataclass(frozen=True)
class Deps:
    """Everything from outside. cache_dir belongs to this application alone."""

    store: ObjectStore
    database: Engine
    cache_dir: Path
    token: str
    lengths: Lengths


def create_app(deps: Deps) -> FastAPI:
    app = FastAPI(
        title="Burnish curator", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None, openapi_url=None
    )
    install_error_handlers(app)
    spool = deps.cache_dir / "spool"
    run_logs = RunLogRepository(deps.store, deps.cache_dir)
    corrections = CorrectionRepository(deps.database)
    benchmark_repository = BenchmarkRepository(deps.store)

    app.state.access = Access(deps.token)
    app.state.sign_in_delay = SignInDelay()
    app.state.health = health.Health(deps.store, deps.database)
    app.state.run_logs = RunLogService(run_logs, spool)
    app.state.reviews = ReviewService(run_logs, corrections)
    app.state.datasets = DatasetService(
        DatasetRepository(deps.store), run_logs, corrections, benchmark_repository, deps.lengths
    )
    app.state.benchmarks = BenchmarkService(benchmark_repository)
    app.state.evals = EvalService(EvalRepository(deps.store), spool)

    app.add_api_route("/openapi.json", app.openapi, include_in_schema=False, dependencies=[Depends(BearerToken())])
    app.include_router(health.router)
    app.include_router(pages.router)
    for noun in (runlogs, reviews, datasets, benchmarks, evals):
        app.include_router(noun.router, dependencies=[Depends(BearerToken())], responses=ERROR_RESPONSES)
    return app
