"""Time limits on connections that uvicorn does not have: for headers, and for what still comes of a body that was refused."""

from __future__ import annotations

import asyncio
from typing import Any


class BoundedConnection:
    """Mixin before uvicorn's HttpToolsProtocol: `class Protocol(BoundedConnection, HttpToolsProtocol)`.

    headers_seconds run from the connection, or from the first byte of a further request on it, to the end of the headers.
    linger_seconds run from an answer that came before the end of its request: uvicorn discards the rest, so that a sender that
    reads only once it has sent everything gets the answer. Between requests uvicorn's own keep-alive limit holds.
    """

    headers_seconds = 10.0
    linger_seconds = 60.0
    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._close_after(self.headers_seconds, transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()  # type: ignore[misc]
        if self._limit is None:
            self._close_after(self.headers_seconds, self.transport)  # type: ignore[attr-defined]

    def on_headers_complete(self) -> None:
        self._stop()
        super().on_headers_complete()  # type: ignore[misc]

    def on_response_complete(self) -> None:
        super().on_response_complete()  # type: ignore[misc]
        if self.cycle.more_body and not self.transport.is_closing():  # type: ignore[attr-defined]
            self._close_after(self.linger_seconds, self.transport)  # type: ignore[attr-defined]

    def on_message_complete(self) -> None:
        self._stop()
        super().on_message_complete()  # type: ignore[misc]

    def connection_lost(self, error: Exception | None) -> None:
        self._stop()
        super().connection_lost(error)  # type: ignore[misc]

    def _close_after(self, seconds: float, transport: Any) -> None:
        self._limit = asyncio.get_running_loop().call_later(seconds, transport.abort)

    def _stop(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
