"""The FastAPI application: pure wiring, called by main.py and by tests."""

from __future__ import annotations

import logging

from fastapi import FastAPI

from burnish import __version__
from burnish.telemetry.requests import RequestTelemetry
from burnish_inference import errors
from burnish_inference.dependencies import Deps
from burnish_inference.endpoints import build_router
from burnish_inference.middleware import RequestGate

log = logging.getLogger("burnish_inference.requests")


def create_app(deps: Deps) -> FastAPI:
    app = FastAPI(title="Burnish inference", version=__version__, redirect_slashes=False)
    app.include_router(build_router(deps))
    errors.install(app)
    telemetry = RequestTelemetry(deps.metrics.requests, deps.tracing, log)
    app.add_middleware(RequestGate, token=deps.token, telemetry=telemetry)
    return app
