"""Around every request: its id, the bearer token, what telemetry tells of it, and an answer where a route fails unexpectedly."""

from __future__ import annotations

import hmac
import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from burnish.errors import UnauthenticatedError
from burnish.telemetry.requests import Exchange as Seen
from burnish.telemetry.requests import RequestTelemetry
from burnish_inference import errors

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
REQUEST_ID_HEADER = "x-request-id"


class RequestGate:
    """Plain ASGI, not BaseHTTPMiddleware: streams pass through untouched and cancellation reaches them.

    The token is compared in constant time and before anything of the request is looked at but its path; what does not
    exist is not told to strangers. Request id: the caller's, where it is harmless text, else a new one.
    """

    def __init__(self, app: ASGIApp, token: str, telemetry: RequestTelemetry) -> None:
        self._app = app
        self._telemetry = telemetry
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        await _Exchange(self._app, self._expected, scope, receive, send).run(self._telemetry)


class _Exchange:
    """One request and its answer."""

    def __init__(self, app: ASGIApp, expected: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._expected, self._scope, self._receive, self._asgi_send = app, expected, scope, receive, send
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        self._authorization = headers.get("authorization", "").encode("latin-1")
        self._request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self._seen = Seen()
        scope.setdefault("state", {})["request_id"] = self._request_id

    async def run(self, telemetry: RequestTelemetry) -> None:
        with telemetry.request(self._scope, self._request_id) as self._seen:
            try:
                await self._answer()
            except Exception:
                log.exception("unexpected error")
                if self._seen.status:  # an answer is under way: end the connection, lest a part pass for the whole
                    raise
                await errors.unexpected(self._request_id)(self._scope, self._receive, self._send)

    async def _answer(self) -> None:
        if self._scope["path"] not in OPEN_PATHS and not hmac.compare_digest(self._authorization, self._expected):
            refusal = UnauthenticatedError("send `Authorization: Bearer <token>` with the server's BURNISH_TOKEN")
            await errors.burnish_response(refusal)(self._scope, self._receive, self._send)
        else:
            await self._app(self._scope, self._receive, self._send)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._seen.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID_HEADER] = self._request_id
        await self._asgi_send(message)
