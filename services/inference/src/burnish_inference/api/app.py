"""The FastAPI application: pure wiring, called by main.py and by tests."""

from __future__ import annotations

import hmac
import logging

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from burnish import __version__
from burnish.errors import UnauthenticatedError
from burnish.telemetry.requests import RequestMiddleware
from burnish_inference.api import errors, registry
from burnish_inference.api.dependencies import Deps
from burnish_inference.api.endpoints import build_router

log = logging.getLogger("burnish_inference.requests")

OPEN_PATHS = frozenset({"/healthz", "/readyz"})


def create_app(deps: Deps) -> FastAPI:
    app = FastAPI(title="Burnish inference", version=__version__, redirect_slashes=False)
    app.include_router(build_router(deps))
    app.include_router(registry.build_router(deps))
    errors.install(app)
    app.add_middleware(TokenCheck, token=deps.token)
    app.add_middleware(
        RequestMiddleware, seconds=deps.metrics.requests, spans=deps.tracing, log=log, failure=errors.unexpected
    )
    return app


class TokenCheck:
    """ASGI middleware: no request gets further without the token, except to OPEN_PATHS.

    The token is compared in constant time, before anything of the request but its path is looked at, so strangers do not
    learn which routes exist.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                refusal = UnauthenticatedError("send `Authorization: Bearer <token>` with the server's BURNISH_TOKEN")
                return await errors.burnish_response(refusal)(scope, receive, send)
        return await self._app(scope, receive, send)
