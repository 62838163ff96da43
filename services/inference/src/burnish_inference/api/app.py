"""The FastAPI application: pure wiring, called by main.py and by tests."""

from __future__ import annotations

import logging

from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException

from burnish import __version__
from burnish.asgi.access import TokenCheck
from burnish.asgi.bodies import TOO_LARGE, BodyLimits
from burnish.errors import UnauthenticatedError
from burnish.telemetry.requests import RequestMiddleware
from burnish_inference.api import errors, registry, schema
from burnish_inference.api.dependencies import Deps
from burnish_inference.api.endpoints import TOKEN, build_router

log = logging.getLogger("burnish_inference.requests")

OPEN_PATHS = frozenset({"/health", "/healthz", "/readyz"})
NO_TOKEN = UnauthenticatedError("send `Authorization: Bearer <token>` with the server's BURNISH_TOKEN")


def create_app(deps: Deps) -> FastAPI:
    app = FastAPI(title="Burnish inference", version=__version__, redirect_slashes=False)
    app.include_router(build_router(deps))
    app.include_router(registry.build_router(deps), dependencies=[Depends(TOKEN)], responses=schema.ERRORS)
    errors.install(app)
    refusal = errors.burnish_response(NO_TOKEN)
    app.add_middleware(TokenCheck, token=deps.token, is_open=OPEN_PATHS.__contains__, refusal=refusal)
    app.add_middleware(BodyLimits, limit_of=lambda scope: deps.max_request_bytes, failure=body_failure)
    app.add_middleware(
        RequestMiddleware, seconds=deps.metrics.requests, spans=deps.tracing, log=log, failure=errors.unexpected
    )
    return app


def body_failure(status: int, message: str) -> HTTPException:
    return HTTPException(status, f"{message} (BURNISH_INFERENCE_MAX_REQUEST_BYTES)" if status == TOO_LARGE else message)
