"""How hard an endpoint is pressed: a concurrency limit that adapts, and the pauses it asks for."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

CUT_AT_MOST_EVERY_SECONDS = 1.0  # a burst of refusals is one message, not many
LONGEST_DELAY_SECONDS = 30.0


class Pace:
    """Additive increase, multiplicative decrease, between 1 and `ceiling` requests in flight. For one event loop.

    Starts at the ceiling: a local engine wants all it was promised, and a hosted one says 429 at once.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit = float(ceiling)
        self._in_flight = 0
        self._resume_at = 0.0
        self._cut_at = float("-inf")
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a free place and for the end of any pause; hold the place."""
        while True:
            pause = self._resume_at - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self._in_flight < int(self.limit):
                break
            else:
                self._changed.clear()
                await self._changed.wait()
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._changed.set()

    def answered(self) -> None:
        """The endpoint kept up: one more place per `limit` answers."""
        self.limit = min(float(self.ceiling), self.limit + 1 / self.limit)
        self._changed.set()

    def pushed_back(self, pause_seconds: float) -> None:
        """The endpoint refused or timed out: half the places, and nobody asks before the pause is over."""
        now = time.monotonic()
        self._resume_at = max(self._resume_at, now + pause_seconds)
        if now - self._cut_at >= CUT_AT_MOST_EVERY_SECONDS:
            self._cut_at = now
            self.limit = max(1.0, self.limit / 2)


def backoff_seconds(attempt: int, first_delay_seconds: float) -> float:
    """Delay before attempt+1 (attempt counts from 0): doubling, capped, with jitter between half and all of it."""
    delay: float = min(LONGEST_DELAY_SECONDS, first_delay_seconds * 2.0**attempt)
    return delay * random.uniform(0.5, 1.0)


def retry_after_seconds(header: str | None) -> float | None:
    """The Retry-After header as seconds from now: a number, or an HTTP date (RFC 9110 10.2.3); None where absent or unreadable."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (when.astimezone(UTC) - datetime.now(UTC)).total_seconds())
