"""The FastAPI application: pure wiring, called by main.py and by tests."""

from __future__ import annotations

import logging

from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException

from burnish import __version__
from burnish.asgi.access import CallerKeys, TokenCheck
from burnish.asgi.bodies import TOO_LARGE, BodyLimits
from burnish.errors import ForbiddenError, UnauthenticatedError
from burnish.telemetry.requests import RequestMiddleware
from burnish_inference.api import device, errors, registry, schema
from burnish_inference.api.dependencies import Deps
from burnish_inference.api.endpoints import TOKEN, build_router
from burnish_inference.api.shares import GivesBackShares
from burnish_inference.device.gate import GateMiddleware
from burnish_inference.limits import COMPLETIONS

log = logging.getLogger("burnish_inference.requests")

OPEN_PATHS = frozenset({"/health", "/healthz", "/readyz"})
MODELS = "/v1/models"
NOT_FOR_CALLERS = ForbiddenError(
    "a caller's key opens completions and models alone: this needs the server's BURNISH_TOKEN"
)
NO_TOKEN = UnauthenticatedError("send `Authorization: Bearer <token>` with the server's BURNISH_TOKEN")


def create_app(deps: Deps) -> FastAPI:
    app = FastAPI(title="Burnish inference", version=__version__, redirect_slashes=False)
    app.include_router(build_router(deps))
    app.include_router(device.build_router(deps), dependencies=[Depends(TOKEN)], responses=schema.ERRORS)
    app.include_router(registry.build_router(deps), dependencies=[Depends(TOKEN)], responses=schema.ERRORS)
    errors.install(app)
    app.add_middleware(GateMiddleware, gate=deps.gate, refusal=errors.burnish_response)
    refusal = errors.burnish_response(NO_TOKEN)
    callers = CallerKeys(deps.caller_keys, is_for_callers, errors.burnish_response(NOT_FOR_CALLERS))
    app.add_middleware(GivesBackShares)
    app.add_middleware(TokenCheck, token=deps.token, is_open=OPEN_PATHS.__contains__, refusal=refusal, callers=callers)
    app.add_middleware(BodyLimits, limit_of=lambda scope: deps.max_request_bytes, failure=body_failure)
    app.add_middleware(
        RequestMiddleware, seconds=deps.metrics.requests, spans=deps.tracing, log=log, failure=errors.unexpected
    )
    return app


def is_for_callers(path: str) -> bool:
    """What a caller's key opens: asking the model, and finding out which there are."""
    return path in COMPLETIONS or path == MODELS or path.startswith(f"{MODELS}/")


def body_failure(status: int, message: str) -> HTTPException:
    return HTTPException(status, f"{message} (BURNISH_INFERENCE_MAX_REQUEST_BYTES)" if status == TOO_LARGE else message)
