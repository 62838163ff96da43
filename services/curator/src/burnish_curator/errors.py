"""The HTTP edge of the error tree: every failure becomes `{"error": {…, "request_id"}}`. Nothing else translates errors."""

from __future__ import annotations

import logging
import re
import uuid
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from burnish.errors import BurnishError, Code, InternalError, InvalidInputError, NotFoundError, UnauthenticatedError
from burnish.telemetry.requests import Exchange, RequestTelemetry

REQUEST_ID = "x-request-id"
_GIVEN_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
_log = logging.getLogger(__name__)


class ErrorDetail(BaseModel):
    """What went wrong: `reason` for programs, `message` for people."""

    code: str
    reason: str
    message: str
    metadata: dict[str, str]
    request_id: str


class ErrorBody(BaseModel):
    error: ErrorDetail


def _example(error: BurnishError) -> dict[str, Any]:
    body = {"error": error.to_dict() | {"request_id": "7f1d0c5a"}}
    return {"model": ErrorBody, "content": {"application/json": {"example": body}}}


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: _example(InvalidInputError("line 3: grade: Field required")),
    401: _example(UnauthenticatedError("the bearer token is missing or wrong")),
    404: _example(NotFoundError("no run log 'ab12': `burnish runs ls` lists them", run_log_id="ab12")),
}


class RequestIds:
    """ASGI middleware: an id for each request (the caller's X-Request-Id if it is plain), what telemetry tells of it, and
    the last net for exceptions.

    An unknown exception is logged with its traceback under the id and answered INTERNAL, never with its text.
    """

    def __init__(self, app: ASGIApp, telemetry: RequestTelemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(REQUEST_ID.encode(), b"").decode("latin-1")
        request_id = given if _GIVEN_ID.match(given) else uuid.uuid4().hex[:16]
        scope.setdefault("state", {})["request_id"] = request_id
        with self._telemetry.request(scope, request_id) as exchange:
            await self._answer(exchange, request_id, scope, receive, send)

    async def _answer(self, exchange: Exchange, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message.get("headers", []), (REQUEST_ID.encode(), request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            _log.info("request %s: %s %s: the client went away", request_id, scope["method"], scope["path"])
        except Exception:
            _log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            if exchange.status:
                raise
            error = InternalError(f"the curator failed; its log has the traceback under request {request_id}")
            await error_response(error, request_id)(scope, receive, send_with_id)


def install_error_handlers(app: FastAPI, telemetry: RequestTelemetry) -> None:
    app.add_middleware(RequestIds, telemetry=telemetry)
    app.add_exception_handler(BurnishError, _on_burnish_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def error_response(error: BurnishError, request_id: str, status: int | None = None) -> JSONResponse:
    body = {"error": error.to_dict() | {"request_id": request_id}}
    headers = {"WWW-Authenticate": "Bearer"} if error.code is Code.UNAUTHENTICATED else None
    return JSONResponse(body, status_code=status or error.code.http_status, headers=headers)


async def _on_burnish_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BurnishError)
    request_id = request.state.request_id
    if error.code.http_status >= 500:
        _log.error("request %s: %s", request_id, error.message, exc_info=error)
    return error_response(error, request_id)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return error_response(InvalidInputError("; ".join(faults)), request.state.request_id)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Starlette's own: unknown path, method not allowed."""
    assert isinstance(error, HTTPException)
    kind = NotFoundError if error.status_code == 404 else InvalidInputError
    text = f"{request.method} {request.url.path}: {error.detail}; /openapi.json lists what there is"
    return error_response(kind(text), request.state.request_id, status=error.status_code)
