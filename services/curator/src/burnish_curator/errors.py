"""The HTTP edge of the error tree: every failure becomes `{"error": {…, "request_id"}}`. Nothing else translates errors."""

from __future__ import annotations

import json
import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from burnish.asgi.methods import allowed_methods
from burnish.asgi.types import Receive, Scope, Send
from burnish.errors import (
    AlreadyExistsError,
    BurnishError,
    Code,
    InternalError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from burnish.telemetry.requests import CLIENT_GONE

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


Responses = dict[int | str, dict[str, Any]]
ERROR_RESPONSES: Responses = {
    400: _example(InvalidInputError("line 3: grade: Field required")),
    401: _example(UnauthenticatedError("the bearer token is missing or wrong")),
    404: _example(NotFoundError("no run log 'ab12': `burnish runs ls` lists them", run_log_id="ab12")),
    503: _example(UnavailableError("the object store s3:8333 does not answer")),
    "default": {"model": ErrorBody, "description": "Any other error, in the same form"},
}
BODY_RESPONSES: Responses = {
    408: _example(InvalidInputError("the request body came too slowly: 1 bytes, then none in time")),
    409: _example(AlreadyExistsError("id e1 belongs to another eval: use a new id", eval_id="e1")),
    413: _example(InvalidInputError("the request body is larger than 4194304 bytes")),
}


def install_error_handlers(app: FastAPI) -> None:
    """For everything that a route may raise on purpose; `unexpected` answers for the rest."""
    app.add_exception_handler(BurnishError, _on_burnish_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_client_gone)


class ErrorResponse(JSONResponse):
    """JSON in which a single surrogate is written as its escape: a refused text may hold one, and UTF-8 has none."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def error_response(error: BurnishError, request_id: str, status: int | None = None) -> JSONResponse:
    body = {"error": error.to_dict() | {"request_id": request_id}}
    headers = {"WWW-Authenticate": "Bearer"} if error.code is Code.UNAUTHENTICATED else None
    return ErrorResponse(body, status_code=status or error.http_status, headers=headers)


def unexpected(request_id: str) -> JSONResponse:
    """For a defect of ours: the log has the traceback, the caller the id to find it by."""
    error = InternalError(f"the curator failed; its log has the traceback under request {request_id}")
    return error_response(error, request_id)


async def no_token(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request without the token."""
    error = UnauthenticatedError(
        "the bearer token is missing or wrong: send `Authorization: Bearer <token>`; BURNISH_TOKEN holds it"
    )
    await error_response(error, scope["state"]["request_id"])(scope, receive, send)


async def _on_burnish_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BurnishError)
    request_id = request.state.request_id
    status = error.http_status
    if status >= 500:  # a part that is down is told by its message; where a defect is, only the traceback says
        _log.error("request %s: %s", request_id, error.message, exc_info=error if status == 500 else None)
    return error_response(error, request_id)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return error_response(InvalidInputError("; ".join(faults)), request.state.request_id)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Starlette's own: unknown path, method not allowed; and bodies that are too large or too slow."""
    assert isinstance(error, HTTPException)
    kind = NotFoundError if error.status_code == 404 else InvalidInputError
    text = f"{request.method} {request.url.path}: {error.detail}"
    if error.status_code in (404, 405):
        text += "; /openapi.json lists what there is"
    response = error_response(kind(text), request.state.request_id, status=error.status_code)
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        response.headers["Allow"] = allowed_methods(request.app.routes, request.scope)
    return response


async def _on_client_gone(request: Request, error: Exception) -> Response:
    """Nobody reads the answer; the log and the metrics have its status."""
    _log.info("request %s: %s %s: the client went away", request.state.request_id, request.method, request.url.path)
    return Response(status_code=CLIENT_GONE)
