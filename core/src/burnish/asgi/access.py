"""Access by headers alone: nothing of a request without the token is read or parsed."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from burnish.asgi.types import Application, Receive, Scope, Send


def is_bearer(authorization: bytes, token: bytes) -> bool:
    """Whether a header says `Bearer <token>`; the scheme in any case (RFC 9110, 11.1), the token in constant time."""
    scheme, _, given = authorization.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given, token)


class TokenCheck:
    """Middleware: `refusal` answers every request without the token, unless `is_open` says that its path needs none.

    It comes before routing, so strangers do not learn which routes exist.
    """

    def __init__(self, app: Application, token: str, is_open: Callable[[str], bool], refusal: Application) -> None:
        self._app = app
        self._token = token.encode()
        self._is_open = is_open
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] == "http" and not self._is_open(scope["path"]):
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not is_bearer(given, self._token):
                return await self._refusal(scope, receive, send)
        return await self._app(scope, receive, send)
