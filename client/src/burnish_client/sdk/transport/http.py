"""What the clients of the HTTP services share: one connection pool, errors rebuilt, reads retried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from burnish.errors import BurnishError, InvalidInputError, UnavailableError
from burnish.schemas.base import BrokenObject, Listing
from burnish_client.sdk import errors as wire
from burnish_client.sdk.transport import tls, tracing
from burnish_client.sdk.transport.service_client import ServiceClient

Model = TypeVar("Model", bound=BaseModel)
READ_ATTEMPTS = 4
PAGE_ITEMS = 1000
BACKOFF_SECONDS = 0.25  # before the second attempt; doubles
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class HttpClient(ServiceClient):
    """Base class: `_get` retries (reads are idempotent), `_send` does not. Both raise the service's own BurnishErrors.

    Thread-safe, as httpx.Client is.
    """

    probe_path: ClassVar[str]  # a cheap read that needs the token

    def __init__(self, address: str, token: str, *, ca: Path | None = None, timeout_seconds: float = 60.0) -> None:
        super().__init__(address, token, ca=ca, timeout_seconds=timeout_seconds)
        self._http = httpx.Client(
            base_url=self.address,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(timeout_seconds, connect=5.0),
            verify=tls.verification(self.address, ca),
            event_hooks={"request": [tracing.mark]},
            # A proxy from the environment cannot reach our loopback.
            trust_env=urlsplit(self.address).hostname not in LOOPBACK,
        )

    def close(self) -> None:
        self._http.close()

    def check_access(self) -> str | None:
        self._send("GET", self.probe_path)
        return None

    @retry(
        retry=retry_if_exception_type(UnavailableError),
        stop=stop_after_attempt(READ_ATTEMPTS),
        wait=wait_exponential(multiplier=BACKOFF_SECONDS),
        reraise=True,
    )
    def _get(self, path: str, params: Any = None) -> httpx.Response:
        """A read, tried up to READ_ATTEMPTS times while the service cannot be reached or a gateway answers for it."""
        return self._send("GET", path, params=params)

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request, sent once."""
        try:
            response = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise self._unanswered(error) from error
        if response.is_error:
            raise wire.from_http(response, self._where)
        return response

    def _unanswered(self, error: httpx.TransportError) -> BurnishError:
        """Says so if TLS is the reason; that error is not retried."""
        timed_out = isinstance(error, httpx.TimeoutException)
        return (None if timed_out else tls.find_fault(self.address, self._ca)) or wire.from_transport(
            error, self._where
        )

    def _pages(self, path: str, field: str, kind: type[Model], params: dict[str, Any] | None = None) -> Listing[Model]:
        """A list as a whole, page by page."""
        found: Listing[Model] = Listing()
        token = ""
        while True:
            given = (params or {}) | {"page_size": PAGE_ITEMS} | ({"page_token": token} if token else {})
            body = self._get(path, given).json()
            page = listing(body, field, kind)
            found += page
            found.broken += page.broken
            if not (token := body.get("next_page_token", "")):
                return found

    @contextmanager
    def _stream(self, path: str, params: Any = None) -> Iterator[httpx.Response]:
        """A read whose body is taken as it comes. Not retried, since part of it may have been used."""
        try:
            with self._http.stream("GET", path, params=params) as response:
                if response.is_error:
                    response.read()
                    raise wire.from_http(response, self._where)
                yield response
        except httpx.TransportError as error:
            raise self._unanswered(error) from error


def listing(body: dict[str, Any], field: str, kind: type[Model]) -> Listing[Model]:
    """What a list call answered under `field`, and the objects that the service could not read."""
    broken = [BrokenObject.model_validate(item) for item in body.get("broken", ())]
    return Listing([kind.model_validate(item) for item in body[field]], broken)


def segment(value: str) -> str:
    """A value as one segment of a path, quoted so that '/' and '..' in it cannot reach another route."""
    if not value or value in (".", ".."):
        raise InvalidInputError(f"{value!r} is not a name or id")
    return quote(value, safe="")
