"""gRPC handlers as interceptors take them apart and put them together again. Used by interceptors.py and rpc_telemetry.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

HEALTH = "/grpc.health.v1.Health/"
REQUEST_ID = "x-request-id"

Details: TypeAlias = grpc.HandlerCallDetails
Context: TypeAlias = grpc.aio.ServicerContext
Continuation: TypeAlias = Callable[[Details], Awaitable[Any]]


def behaviour(handler: grpc.RpcMethodHandler) -> Callable[..., Any]:
    behaviour: Callable[..., Any] = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return behaviour


def replaced(
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
