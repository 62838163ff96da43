"""The supervisor's health checks of a part: does it answer, and is it ready? Each has a time limit, and none raises for "no"."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from burnish.errors import BurnishError
from burnish.objectstores import seaweedfs
from burnish.objectstores.s3 import S3ObjectStore
from burnish.service.certificates import host_names, pinned
from burnish_client.sdk.transport.grpc_channel import NO_PROXY

Check = Callable[[], Awaitable[bool]]
LIMIT_SECONDS = 5.0


def http(url: str, certificate: Path | None = None) -> Check:
    """True on 200. certificate: the one that the endpoint shows; only it is trusted, under any name."""

    async def check() -> bool:
        try:
            # False: plain HTTP on loopback, so no CA bundle needs to be read at every check
            verify: ssl.SSLContext | bool = pinned(certificate) if certificate else False
            async with httpx.AsyncClient(timeout=LIMIT_SECONDS, trust_env=False, verify=verify) as client:
                return (await client.get(url)).status_code == httpx.codes.OK
        except (httpx.TransportError, OSError):
            return False

    return check


def grpc_health(target: str, certificate: Path | None = None) -> Check:
    """True if grpc.health.v1 says SERVING for the whole server at host:port. certificate: as for http."""

    async def check() -> bool:
        try:
            opened = _channel(target, certificate)
        except (OSError, ValueError):
            return False
        async with opened as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return check


def _channel(target: str, certificate: Path | None) -> grpc.aio.Channel:
    if certificate is None:
        return grpc.aio.insecure_channel(target, options=[NO_PROXY])
    pem = certificate.read_bytes()
    name = host_names(pem)[0].replace("*", "any")
    options = [NO_PROXY, ("grpc.ssl_target_name_override", name)]
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(pem), options=options)


def object_store(store: S3ObjectStore) -> Check:
    """True if a signed write is accepted. Makes the bucket if it is missing."""

    async def check() -> bool:
        try:
            await asyncio.to_thread(seaweedfs.wait_ready, store, timeout_seconds=0)
        except BurnishError:
            return False
        return True

    return check
