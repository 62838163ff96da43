"""Bytes that are no message, to every method of the server: each is answered as the caller's mistake, and only if it has the token."""

from __future__ import annotations

import logging

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2
from integration.trainer.rpc.service import ALLOWED, Service

from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_trainer.rpc.interceptor import STATUS_DETAILS

TRAINER = pb.DESCRIPTOR.services_by_name["Trainer"]
METHODS = [
    *(f"/{TRAINER.full_name}/{method.name}" for method in TRAINER.methods),
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]
# No field is numbered 0; a text that is longer than the message; a text that is no UTF-8.
JUNK = [b"\x00", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe\x12\x02\xff\xfe\x1a\x02\xff\xfe"]


async def ended(
    service: Service, method: str, data: bytes, metadata: tuple[tuple[str, str], ...]
) -> grpc.aio.AioRpcError:
    """How the call ended that sent these bytes as its one message."""
    if "Reflection" in method:
        answers = service.channel.stream_stream(method)(iter([data]), metadata=metadata, timeout=20)
    else:
        answers = service.channel.unary_stream(method)(data, metadata=metadata, timeout=20)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answers.read()
    return caught.value


@pytest.mark.parametrize("method", METHODS)
async def test_bytes_that_are_no_message_are_an_invalid_argument(
    service: Service, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    for junk in JUNK[:2] if "Create" in method or "Preview" in method else JUNK:
        error = await ended(service, method, junk, ALLOWED)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, (junk, error.details())
        assert "the request's bytes are no" in (error.details() or "")
        assert status_pb2.Status.FromString(dict(error.trailing_metadata())[STATUS_DETAILS]).details
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("method", [method for method in METHODS if "Health" not in method])
async def test_a_strangers_bytes_are_not_read(service: Service, method: str) -> None:
    """A refusal may come before the client has sent its message, which grpc.aio then tells instead of the answer: the call is made again."""
    for _ in range(5):
        error = await ended(service, method, JUNK[0], ())
        if error.details() != "Internal error from Core":
            break
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
