"""Who may call: one bearer token, compared in constant time, and the review page's session made from it."""

from __future__ import annotations

import hashlib
import hmac
import time

from fastapi import Request
from fastapi.security import HTTPBearer

from burnish.errors import UnauthenticatedError

SESSION_SECONDS = 12 * 3600


class Access:
    """Checks tokens and review sessions. A session is `<expiry>.<signature>`, signed with the token, so nothing is stored."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token)

    def new_session(self) -> str:
        expiry = str(int(time.time()) + SESSION_SECONDS)
        return f"{expiry}.{self._sign('session', expiry)}"

    def is_session(self, given: str) -> bool:
        expiry, _, signature = given.partition(".")
        signed = hmac.compare_digest(signature.encode(), self._sign("session", expiry).encode())
        return signed and expiry.isdecimal() and int(expiry) > time.time()

    def form_token(self, session: str) -> str:
        """What a form of this session must carry: other sites cannot read it (cross-site request forgery)."""
        return self._sign("form", session)

    def is_form_token(self, given: str, session: str) -> bool:
        return hmac.compare_digest(given.encode(), self.form_token(session).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._token, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


class BearerToken(HTTPBearer):
    """FastAPI dependency: UnauthenticatedError unless `Authorization: Bearer <token>` is right."""

    def __init__(self) -> None:
        super().__init__(auto_error=False, scheme_name="token")

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        credentials = await super().__call__(request)
        access: Access = request.app.state.access
        if credentials is None or not access.is_token(credentials.credentials):
            raise UnauthenticatedError(
                "the bearer token is missing or wrong: send `Authorization: Bearer <token>`; BURNISH_TOKEN holds it"
            )
