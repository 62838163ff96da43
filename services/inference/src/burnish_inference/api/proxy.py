"""Passes a completion on to vLLM and its answer back: whole or as a stream, at the pace at which the caller reads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import orjson
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from burnish.errors import InternalError, UnavailableError
from burnish.telemetry import tracing
from burnish.telemetry.requests import CLIENT_GONE, REQUEST_ID
from burnish_inference.api.errors import error_body, upstream_response
from burnish_inference.engine.port import Engine
from burnish_inference.metrics import InferenceMetrics, Target

log = logging.getLogger(__name__)

T = TypeVar("T")
# A generation may wait long in vLLM's queue, so there is no read limit: the supervisor restarts a vLLM that hangs.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5)


class ClientGone(Exception):
    """The caller has closed the connection."""


class Proxy:
    """The engine's URL is asked for at each request: it changes with every restart of vLLM."""

    def __init__(
        self, engine: Engine, upstream: aiohttp.ClientSession, metrics: InferenceMetrics, spans: tracing.Tracing
    ) -> None:
        self._engine = engine
        self._upstream = upstream
        self._metrics = metrics
        self._spans = spans

    async def forward(
        self, request: Request, path: str, payload: dict[str, Any], target: Target, headers: dict[str, str]
    ) -> Response:
        """vLLM's answer with `headers` added. A caller that goes away cancels the request in vLLM too.

        Raises UnavailableError if vLLM is down or goes down, InternalError if it fails and lives on.
        """
        url, started = self._engine.url + path, time.perf_counter()
        own = {"content-type": "application/json", REQUEST_ID: request.state.request_id}
        with self._spans.span(f"vllm {path}", kind="client"):
            exchange = self._exchange(url, orjson.dumps(payload), own | tracing.headers())
            try:
                answer, body = await until_gone(request, exchange)
            except ClientGone:
                self._metrics.proxied(target, CLIENT_GONE)
                return Response(status_code=CLIENT_GONE)
            except aiohttp.ClientError as error:
                self._metrics.proxied(target, HTTPStatus.SERVICE_UNAVAILABLE)
                await self._engine.check()
                raise went_down() from error
        self._metrics.proxied(target, answer.status)
        if body is None:
            events = self._events(answer, target, started)
            return StreamingResponse(events, headers=headers, media_type="text/event-stream")
        self._metrics.first_byte(target, False, time.perf_counter() - started)
        if answer.ok:
            return Response(body, headers=headers, media_type=answer.content_type)
        if answer.status < 500:
            return upstream_response(answer.status, body)
        log.error("vLLM answered %d: %s", answer.status, body[:1000].decode(errors="replace"))
        if await self._engine.check():
            raise InternalError(
                f"the engine failed on this request; its log has it near request id {request.state.request_id}"
            )
        raise went_down()

    async def _exchange(
        self, url: str, body: bytes, headers: dict[str, str]
    ) -> tuple[aiohttp.ClientResponse, bytes | None]:
        """The answer and its body. A stream of events comes still open, with None."""
        answer = await self._upstream.post(url, data=body, headers=headers, timeout=TIMEOUT)
        if answer.ok and answer.content_type == "text/event-stream":
            return answer, None
        try:
            return answer, await answer.read()
        finally:
            answer.close()

    async def _events(self, answer: aiohttp.ClientResponse, target: Target, started: float) -> AsyncIterator[bytes]:
        """The bytes as they come; an event with an error in OpenAI's shape if vLLM breaks off."""
        is_first = True
        try:
            async for chunk in answer.content.iter_any():
                if is_first:
                    self._metrics.first_byte(target, True, time.perf_counter() - started)
                    is_first = False
                yield chunk
        except aiohttp.ClientError:
            log.exception("vLLM broke off a stream")
            await self._engine.check()
            error = went_down()
            yield b"data: " + error_body(error.code.http_status, error.message, error.reason.lower()) + b"\n\n"
        finally:
            answer.close()  # before its end, this closes the connection, which cancels the request in vLLM


def went_down() -> UnavailableError:
    return UnavailableError(
        "the engine went down during this request and is being restarted: ask again in a few seconds"
    )


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of work. If the caller disconnects first, work is cancelled and ClientGone raised. The body must have been read."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
