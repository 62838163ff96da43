"""The gRPC edge: who may call, and what a caller is told when something fails.

The only place of this service that turns errors into gRPC statuses. Unary and streaming calls are wrapped apart.
"""

from __future__ import annotations

import hmac
import inspect
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from burnish.errors import BurnishError, InternalError, UnauthenticatedError

log = logging.getLogger(__name__)

DOMAIN = "burnish"
HEALTH = "/grpc.health.v1.Health/"
STATUS_DETAILS = "grpc-status-details-bin"
REQUEST_ID = "x-request-id"
CODES = {code.value[0]: code for code in grpc.StatusCode}

Details: TypeAlias = grpc.HandlerCallDetails
Context: TypeAlias = grpc.aio.ServicerContext
Continuation: TypeAlias = Callable[[Details], Awaitable[Any]]


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc is untyped
    """Refuses every call without the bearer token, but health checks. Compares in constant time."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(self, continuation: Continuation, details: Details) -> Any:
        handler = await continuation(details)
        if handler is None or details.method.startswith(HEALTH) or self._admits(details):
            return handler
        return _replaced(handler, _refuse, _refuse_stream)

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
    """Translates what a handler raises; must stand outermost."""

    async def intercept_service(self, continuation: Continuation, details: Details) -> Any:
        handler = await continuation(details)
        if handler is None:
            return None
        if handler.response_streaming:
            return _replaced(handler, None, _guarded_stream(_behaviour(handler), details.method))
        return _replaced(handler, _guarded(_behaviour(handler), details.method), None)


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
    request_id = _request_id(context)
    if isinstance(
        error, NotImplementedError
    ):  # what generated code raises for a method that nobody wrote (health's List)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not offered")
    if not isinstance(error, BurnishError):
        log.exception("%s failed", method, extra={"request_id": request_id})
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


def _request_id(context: Context) -> str:
    sent = dict(context.invocation_metadata() or ()).get(REQUEST_ID)
    return sent if isinstance(sent, str) and 0 < len(sent) <= 64 else uuid.uuid4().hex


def _behaviour(handler: grpc.RpcMethodHandler) -> Callable[..., Any]:
    behaviour: Callable[..., Any] = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return behaviour


def _replaced(
    handler: grpc.RpcMethodHandler, answer: Callable[..., Any] | None, stream: Callable[..., Any] | None
) -> grpc.RpcMethodHandler:
    """The handler with another behaviour: `answer` where it gives one response, `stream` where it gives many."""
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(
        stream if handler.response_streaming else answer,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
