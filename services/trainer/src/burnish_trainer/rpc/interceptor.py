"""The gRPC edge: what surrounds every call. Telemetry outermost, so that it sees how a call ended; then errors; then the token.

The only place of this service that turns errors into gRPC statuses.
"""

from __future__ import annotations

import hmac
import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from google.rpc.error_details_pb2 import BadRequest

from burnish.errors import BurnishError, InternalError, InvalidInputError, UnauthenticatedError
from burnish.telemetry import logs
from burnish_trainer.rpc.telemetry import HEALTH, REQUEST_ID, CallTelemetry, Context

log = logging.getLogger(__name__)

Details: TypeAlias = grpc.HandlerCallDetails

DOMAIN = "burnish"
STATUS_DETAILS = "grpc-status-details-bin"
CODES = {code.value[0]: code for code in grpc.StatusCode}


class EdgeInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc is untyped
    """Wraps the handler of every call; unary and streaming ones apart. A message is read once the token is known to be right."""

    def __init__(self, token: str, telemetry: CallTelemetry) -> None:
        self._expected = f"Bearer {token}".encode()
        self._telemetry = telemetry

    async def intercept_service(self, continuation: Callable[[Details], Awaitable[Any]], details: Details) -> Any:
        handler = await continuation(details)
        if handler is None:
            self._telemetry.unmatched()
            return None
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        wrap = self._stream if handler.response_streaming else self._unary
        read = _read_all if handler.request_streaming else _read
        return make(
            wrap(lambda request, context: inner(read(request, handler.request_deserializer), context), details.method),
            request_deserializer=None,  # bytes come here as they are: a stranger's are not read, and junk is told as such
            response_serializer=handler.response_serializer,
        )

    def _unary(self, inner: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def call(request: Any, context: Context) -> Any:
            with self._telemetry.watch(context, method):
                try:
                    self._check_token(context, method)
                    return await inner(request, context)
                except Exception as error:
                    await _abort(error, context, method)

        return call

    def _stream(self, inner: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            with self._telemetry.watch(context, method):
                try:
                    self._check_token(context, method)
                    answers = inner(request, context)
                    if inspect.isawaitable(answers):  # writes to the context itself, as health's Watch does
                        await answers
                        return
                    async for answer in answers:
                        yield answer
                except Exception as error:
                    await _abort(error, context, method)

        return call

    def _check_token(self, context: Context, method: str) -> None:
        """UnauthenticatedError without the bearer token; health checks need none. Compares in constant time."""
        if method.startswith(HEALTH):
            return
        sent = dict(context.invocation_metadata() or ()).get("authorization", "")
        data = sent if isinstance(sent, bytes) else sent.encode(errors="surrogateescape")
        if not hmac.compare_digest(data, self._expected):
            raise UnauthenticatedError(
                "the call's `authorization` metadata is missing or wrong: send `Bearer <token>` with the trainer's BURNISH_TOKEN"
            )


def _read(data: bytes, deserialize: Callable[[bytes], Any]) -> Any:
    try:
        return deserialize(data)
    except DecodeError as error:
        raise InvalidInputError(
            f"the request's bytes are no message of this method ({error}): send what its proto describes"
        ) from error


async def _read_all(requests: AsyncIterable[bytes], deserialize: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    async for data in requests:
        yield _read(data, deserialize)


async def _abort(error: Exception, context: Context, method: str) -> None:
    """End the call with the error's google.rpc.Status. An unknown error is logged, and its text never leaves the server."""
    if isinstance(error, grpc.aio.AbortError):  # the call has been ended already
        raise error
    if isinstance(
        error, NotImplementedError
    ):  # generated code raises it for a method that nobody wrote (health's List)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not offered")
    request_id = str(logs.bound("request_id"))  # by CallTelemetry
    if not isinstance(error, BurnishError):
        log.exception("%s failed", method)
        error = InternalError(f"the trainer failed; its log has the cause under request id {request_id}")
    status = to_status(error, request_id)
    trailing = ((STATUS_DETAILS, status.SerializeToString()), (REQUEST_ID, request_id))
    await context.abort(CODES[status.code], status.message, trailing_metadata=trailing)


def to_status(error: BurnishError, request_id: str | None = None) -> status_pb2.Status:
    """google.rpc.Status with an ErrorInfo, and a BadRequest if fields of the request are wrong."""
    metadata = error.metadata | ({"request_id": request_id} if request_id else {})
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if isinstance(error, InvalidInputError) and (faults := error.violations or _named_field(error)):
        violations = [BadRequest.FieldViolation(field=field, description=text) for field, text in faults]
        details.append(BadRequest(field_violations=violations))
    status = status_pb2.Status(code=error.code.grpc_number, message=error.message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _named_field(error: InvalidInputError) -> tuple[tuple[str, str], ...]:
    return ((error.metadata["field"], error.message),) if "field" in error.metadata else ()
