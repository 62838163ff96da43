"""One HTTP door of a service: base address, token, errors rebuilt, retries of reads. Used by the SDK's HTTP clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from burnish.errors import BurnishError, UnavailableError
from burnish_client.sdk import errors as wire
from burnish_client.sdk import tls, tracing

READ_ATTEMPTS = 4
BACKOFF_SECONDS = 0.25  # before the second attempt; doubles
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class HttpDoor:
    """A base class: `_get` retries (reads are idempotent), `_send` does not; both raise the service's own BurnishErrors.

    ca: PEM file of the authority that an https door is trusted by; None: the system's. Thread-safe, as httpx.Client is.
    Use as a context manager, or call `close`.
    """

    part = "service"
    question = "/"  # a cheap read that wants the token

    def __init__(self, url: str, token: str, *, ca: Path | None = None, timeout_seconds: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._ca = ca
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(timeout_seconds, connect=5.0),
            verify=tls.verifying(self.url, ca),
            event_hooks={"request": [tracing.mark]},
            trust_env=urlsplit(self.url).hostname
            not in LOOPBACK,  # a proxy from the environment cannot reach our loopback
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @property
    def _where(self) -> str:
        return f"{self.part} at {self.url}"

    def _get(self, path: str, params: Any = None) -> httpx.Response:
        """A read, tried up to READ_ATTEMPTS times while the service cannot be reached or a gateway answers for it."""
        for attempt in range(READ_ATTEMPTS):
            try:
                return self._send("GET", path, params=params)
            except UnavailableError:
                if attempt == READ_ATTEMPTS - 1:
                    raise
                time.sleep(BACKOFF_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

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
        """Not retried where TLS is the reason."""
        late = isinstance(error, httpx.TimeoutException)
        return (None if late else tls.misfit(self.url, self._ca)) or wire.from_transport(error, self._where)

    def ask(self) -> None:
        """One read, sent once, that shows whether this door answers and takes the token; raises as every call does."""
        self._send("GET", self.question)

    @contextmanager
    def _stream(self, path: str, params: Any = None) -> Iterator[httpx.Response]:
        """A read whose body is taken as it comes; not retried, since part of it may have been used."""
        try:
            with self._http.stream("GET", path, params=params) as response:
                if response.is_error:
                    response.read()
                    raise wire.from_http(response, self._where)
                yield response
        except httpx.TransportError as error:
            raise self._unanswered(error) from error

    def is_ready(self) -> bool:
        """True where /readyz answers 200 now."""
        try:
            return self._http.get("/readyz", timeout=5.0).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
