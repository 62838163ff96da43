"""The gRPC edge: who may call, and what a caller is told when something fails.

The only place of this service that turns errors into gRPC statuses. Unary and streaming calls are wrapped apart.
"""

from __future__ import annotations

import hmac
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from burnish.errors import BurnishError, InternalError, UnauthenticatedError
from burnish.telemetry import logs
from burnish_trainer.rpc.handlers import HEALTH, REQUEST_ID, Context, Continuation, Details, behaviour, replaced

log = logging.getLogger(__name__)

DOMAIN = "burnish"
STATUS_DETAILS = "grpc-status-details-bin"
CODES = {code.value[0]: code for code in grpc.StatusCode}


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc is untyped
    """Refuses every call without the bearer token, but health checks. Compares in constant time."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(self, continuation: Continuation, details: Details) -> Any:
        handler = await continuation(details)
        if handler is None or details.method.startswith(HEALTH) or self._admits(details):
            return handler
        return replaced(handler, _refuse, _refuse_stream)

    def _admits(self, details: Details) -> bool:
        sent = dict(details.invocation_metadata or ()).get("authorization", "")
        data = sent if isinstance(sent, bytes) else sent.encode(errors="surrogateescape")
        return hmac.compare_digest(data, self._expected)


async def _refuse(_request: Any, _context: Context) -> None:
    raise UnauthenticatedError(
        "the call's `authorization` metadata is missing or wrong: send `Bearer <token>` with the trainer's BURNISH_TOKEN"
    )


async def _refuse_stream(request: Any, context: Context) -> AsyncIterator[Any]:
    await _refuse(request, context)
    yield


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc is untyped
    """Translates what a handler raises; only telemetry stands further out."""

    async def intercept_service(self, continuation: Continuation, details: Details) -> Any:
        handler = await continuation(details)
        if handler is None:
            return None
        if handler.response_streaming:
            return replaced(handler, None, _guarded_stream(behaviour(handler), details.method))
        return replaced(handler, _guarded(behaviour(handler), details.method), None)


def _guarded(inner: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def call(request: Any, context: Context) -> Any:
        try:
            return await inner(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _abort(error, context, method)

    return call


def _guarded_stream(inner: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            answers = inner(request, context)
            if inspect.isawaitable(answers):  # writes to the context itself, as health's Watch does
                await answers
                return
            async for answer in answers:
                yield answer
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _abort(error, context, method)

    return call


async def _abort(error: Exception, context: Context, method: str) -> None:
    """End the call with the error's google.rpc.Status. An unknown one is logged, and its text never leaves the server."""
    request_id = str(logs.bound("request_id"))  # by TelemetryInterceptor
    if isinstance(
        error, NotImplementedError
    ):  # what generated code raises for a method that nobody wrote (health's List)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not offered")
    if not isinstance(error, BurnishError):
        log.exception("%s failed", method)
        error = InternalError(f"the trainer failed; its log has the cause under request id {request_id}")
    status = to_status(error, request_id)
    trailing = ((STATUS_DETAILS, status.SerializeToString()), (REQUEST_ID, request_id))
    await context.abort(CODES[status.code], status.message, trailing_metadata=trailing)


def to_status(error: BurnishError, request_id: str | None = None) -> status_pb2.Status:
    """google.rpc.Status with one ErrorInfo."""
    metadata = error.metadata | ({"request_id": request_id} if request_id else {})
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    detail = any_pb2.Any()
    detail.Pack(info)
    return status_pb2.Status(code=error.code.grpc_number, message=error.message, details=[detail])
