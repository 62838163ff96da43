"""The HTTP edge of the error tree: every error leaves in OpenAI's shape, `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from burnish.errors import BurnishError, InternalError, InvalidInputError

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
CODES = {401: "unauthenticated", 404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


def error_body(status: int, message: str, code: str, param: str | None = None) -> bytes:
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def error_response(
    status: int, message: str, code: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    content = error_body(status, message, code, param)
    return Response(content, status_code=status, headers=dict(headers or {}), media_type="application/json")


def burnish_response(error: BurnishError) -> Response:
    """code is the reason in lower case; metadata `field` becomes param and `retry_after_seconds` the header."""
    status = error.code.http_status
    headers = {"Retry-After": error.metadata.get("retry_after_seconds", "5")} if status == 503 else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return error_response(status, error.message, error.reason.lower(), error.metadata.get("field"), headers)


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
    code = CODES.get(status, InvalidInputError("").reason.lower())
    return error_response(status, message, code, str(param) if param else None)


def install(app: FastAPI) -> None:
    """Handlers for everything that a route may raise on purpose; `unexpected` answers for the rest."""

    @app.exception_handler(BurnishError)
    async def burnish(request: Request, error: BurnishError) -> Response:
        return burnish_response(error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        message = str(error.detail)
        if error.status_code in (404, 405):
            message = f"{request.method} {request.url.path}: {message}"
        code = CODES.get(error.status_code, "invalid_input")
        return error_response(error.status_code, message, code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return burnish_response(InvalidInputError(f"{field}: {first['msg']}", field=field))
