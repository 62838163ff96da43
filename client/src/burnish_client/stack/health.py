"""Questions that the supervisor asks a part: does it answer, and is it ready? Each has a time limit and never raises for "no"."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from burnish.errors import BurnishError
from burnish.objectstores import seaweedfs
from burnish.objectstores.s3 import S3ObjectStore

Check = Callable[[], Awaitable[bool]]
LIMIT_SECONDS = 5.0


def http(url: str) -> Check:
    """True on 200."""

    async def check() -> bool:
        try:
            # verify: plain HTTP on loopback, so no CA bundle needs to be read at every question
            async with httpx.AsyncClient(timeout=LIMIT_SECONDS, trust_env=False, verify=False) as client:
                return (await client.get(url)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    return check


def grpc_health(address: str) -> Check:
    """True where grpc.health.v1 says SERVING for the whole server."""

    async def check() -> bool:
        options = [("grpc.enable_http_proxy", 0)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return check


def object_store(store: S3ObjectStore) -> Check:
    """True where a signed write is taken; the bucket is made on the way."""

    async def check() -> bool:
        try:
            await asyncio.to_thread(seaweedfs.wait_ready, store, timeout_seconds=0)
        except BurnishError:
            return False
        return True

    return check
