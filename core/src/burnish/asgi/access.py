"""Access by headers alone: nothing of a request without the token is read or parsed."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from burnish.asgi.types import Application, Receive, Scope, Send


def is_bearer(authorization: bytes, token: bytes) -> bool:
    """Whether a header says `Bearer <token>`; the scheme in any case (RFC 9110, 11.1), the token in constant time."""
    scheme, _, given = authorization.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given, token)


@dataclass(frozen=True)
class CallerKeys:
    """Keys beside the token, each of a named caller. They open only the paths of `opens`; `refusal` answers on others."""

    names: Mapping[str, str]  # name -> key
    opens: Callable[[str], bool]
    refusal: Application


class TokenCheck:
    """Middleware: `refusal` answers every request without the token, unless `is_open` says that its path needs none.

    It comes before routing, so strangers do not learn which routes exist. The state of a request with a caller's key has
    the name as `caller`.
    """

    def __init__(
        self,
        app: Application,
        token: str,
        is_open: Callable[[str], bool],
        refusal: Application,
        callers: CallerKeys | None = None,
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._is_open = is_open
        self._refusal = refusal
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] == "http" and not self._is_open(scope["path"]):
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not is_bearer(given, self._token):
                refusal = self._refusal_of_key(given, scope)
                if refusal is not None:
                    return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)

    def _refusal_of_key(self, given: bytes, scope: Scope) -> Application | None:
        """None for a caller's key that opens this path; the name is in the request's state then."""
        callers = self._callers
        if callers is None:
            return self._refusal
        matching = [name for name, key in callers.names.items() if is_bearer(given, key.encode())]
        if not matching:
            return self._refusal
        if not callers.opens(scope["path"]):
            return callers.refusal
        scope.setdefault("state", {})["caller"] = matching[0]
        return None
