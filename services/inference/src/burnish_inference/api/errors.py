"""The HTTP edge of the error tree: every error leaves in OpenAI's shape, `{"error": {"message", "type", "param", "code", "reason"}}`.

`code` is OpenAI's own if it has one for the case, since OpenAI's clients branch on it; `reason` is ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from burnish.asgi.methods import allowed_methods
from burnish.errors import BurnishError, InternalError, InvalidInputError, NotFoundError, UnauthenticatedError

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
CODES = {404: "not_found", 405: "method_not_allowed", 408: "request_timeout", 413: "request_too_large"}
INVALID_API_KEY, MODEL_NOT_FOUND, CONTEXT_LENGTH_EXCEEDED = (
    "invalid_api_key",
    "model_not_found",
    "context_length_exceeded",
)
TOO_LONG = re.compile(r"maximum\s+context length")  # vLLM's words for a prompt that does not fit


def error_body(status: int, message: str, code: str, param: str | None = None, reason: str | None = None) -> bytes:
    """reason: the code in upper case if it is not given."""
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    error = {"message": message, "type": kind, "param": param, "code": code, "reason": reason or code.upper()}
    return orjson.dumps({"error": error})


def error_response(
    status: int,
    message: str,
    code: str,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> Response:
    content = error_body(status, message, code, param, reason)
    return Response(content, status_code=status, headers=dict(headers or {}), media_type="application/json")


def openai_code(error: BurnishError) -> str:
    """OpenAI's code if it has one, else the reason in lower case."""
    if isinstance(error, UnauthenticatedError):
        return INVALID_API_KEY
    if isinstance(error, NotFoundError) and error.metadata.get("field") == "model":
        return MODEL_NOT_FOUND
    return error.reason.lower()


def burnish_response(error: BurnishError) -> Response:
    """metadata `field` becomes param, and `retry_after_seconds` the header."""
    status = error.http_status
    headers = {"Retry-After": error.metadata.get("retry_after_seconds", "5")} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    param = error.metadata.get("field")
    return error_response(status, error.message, openai_code(error), param, headers, error.reason)


def unexpected(request_id: str) -> Response:
    """For a defect of ours: the log has the traceback, the caller the id to find it by."""
    return burnish_response(
        InternalError(f"an unexpected error; the log of the inference server has it under request id {request_id}")
    )


def upstream_response(status: int, body: bytes) -> Response:
    """vLLM's own 4xx: its message and field in our shape."""
    try:
        error: Any = orjson.loads(body)["error"]
        message, param = str(error["message"]), error.get("param")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        message, param = body.decode(errors="replace")[:2000], None
    kind = NotFoundError(message, field="model") if status == 404 else InvalidInputError(message)
    code = CONTEXT_LENGTH_EXCEEDED if TOO_LONG.search(message) else openai_code(kind)
    return error_response(status, message, code, str(param) if param else None, reason=kind.reason)


def install(app: FastAPI) -> None:
    """Handlers for everything that a route may raise on purpose; `unexpected` answers for the rest. Call it after the routes are in."""
    calls = ", ".join(
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if path.startswith("/v1/")
    )

    @app.exception_handler(BurnishError)
    async def burnish(request: Request, error: BurnishError) -> Response:
        return burnish_response(error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        message, headers = str(error.detail), dict(error.headers or {})
        if error.status_code == 404:
            message = f"{request.method} {request.url.path} does not exist; there are: {calls}"
        elif error.status_code == 405:
            message = f"{request.method} {request.url.path}: {message}; there are: {calls}"
            headers["Allow"] = allowed_methods(app.routes, request.scope)
        code = CODES.get(error.status_code, "invalid_input")
        return error_response(error.status_code, message, code, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return burnish_response(InvalidInputError(f"{field}: {first['msg']}", field=field))
