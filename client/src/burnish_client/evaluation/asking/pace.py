"""How hard an endpoint is pressed: a concurrency limit that finds its best, and the pauses it asks for."""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

START = 32  # requests in flight at first, where somebody else's limits hold
LOCAL_START = 64  # on this machine: nobody refuses there, and a small engine still gains at 128
GROWTH = 1.1  # doubling must bring at least this factor of tokens a second
ROUNDS_BEFORE_PLATEAU = 2  # one round is noisy
LATENCY_SHARE_OF_TIMEOUT = 0.25  # the limit grows while the slowest answer takes no more than this of the timeout
LONGEST_DELAY_SECONDS = 30.0


class Pace:
    """Requests in flight, between 1 and `ceiling`. For one event loop.

    Slow start (Jacobson 1988, Congestion Avoidance and Control, section 1, with throughput in the place of loss): the
    limit doubles from `start` as long as a round of `limit` answers brings GROWTH times the tokens a second of the limit
    before. If it does not, twice, the plateau is reached: the limit stays, or goes back to the half if more in flight
    made it slower. A refusal halves the limit and ends the slow start; from there one place more a round, up to the
    ceiling. Requests sent before a cut say nothing new, so a burst of refusals cuts once. A timeout or a lost connection
    says nothing of the pace by itself: a long answer, a server that starts again. Only if half a round more are lost than
    answered is that taken for a refusal. The limit does not grow while an answer takes more than a quarter of the timeout:
    doubling could drive all into it.
    """

    def __init__(
        self,
        ceiling: int,
        timeout_seconds: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        start: int = START,
    ) -> None:
        self.ceiling = ceiling
        self.limit = float(min(start, ceiling))
        self.is_growing = self.limit < ceiling
        self._most = float(ceiling)
        self._slowest_seconds = timeout_seconds * LATENCY_SHARE_OF_TIMEOUT
        self._clock = clock
        self._in_flight = self._lost = 0
        self._resume_at = self._cut_at = -math.inf
        self._changed = asyncio.Event()
        self._rate_before = self._best_rate = 0.0
        self._rounds = 0
        self._round_started_at = clock()
        self._answers = self._tokens = 0
        self._longest_seconds = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Wait for a free place and for the end of any pause; hold the place. Gives the time of sending, for `pushed_back`."""
        while True:
            pause = self._resume_at - self._clock()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self._in_flight < int(self.limit):
                break
            else:
                self._changed.clear()
                await self._changed.wait()
        self._in_flight += 1
        try:
            yield self._clock()
        finally:
            self._in_flight -= 1
            self._changed.set()

    def answered(self, seconds: float, tokens: int) -> None:
        """The endpoint kept up: an answer of `tokens` after `seconds`."""
        self._lost = max(0, self._lost - 1)
        if not self.is_growing:
            self.limit = min(self._most, self.limit + 1 / self.limit)
            self._changed.set()
            return
        self._answers += 1
        self._tokens += tokens
        self._longest_seconds = max(self._longest_seconds, seconds)
        if self._answers >= int(self.limit):
            self._end_round()

    def pushed_back(self, pause_seconds: float, sent_at: float) -> None:
        """The endpoint refused: half the places, and nobody asks before the pause is over."""
        now = self._clock()
        self._resume_at = max(self._resume_at, now + pause_seconds)
        if sent_at >= self._cut_at:
            self._cut_at = now
            self.is_growing = False
            self._most = float(self.ceiling)
            self.limit = max(1.0, self.limit / 2)
            self._lost = 0

    def lost(self, sent_at: float) -> None:
        """No answer came: a timeout, or a lost connection."""
        if sent_at < self._cut_at:
            return
        self._lost += 1
        if self._lost > max(1.0, self.limit / 2):
            self.pushed_back(0.0, sent_at)

    def pause(self, seconds: float) -> None:
        """The endpoint said beforehand that it would refuse: nobody asks before that is over."""
        self._resume_at = max(self._resume_at, self._clock() + seconds)

    def _end_round(self) -> None:
        now = self._clock()
        elapsed = max(now - self._round_started_at, 1e-9)
        self._rounds += 1
        self._best_rate = max(self._best_rate, self._tokens / elapsed)
        if self._best_rate >= GROWTH * self._rate_before:
            if self._longest_seconds > self._slowest_seconds or self.limit >= self.ceiling:
                self._hold(self.limit)
            else:
                self._rate_before, self._best_rate, self._rounds = self._best_rate, 0.0, 0
                self.limit = min(float(self.ceiling), 2 * self.limit)
        elif self._rounds >= ROUNDS_BEFORE_PLATEAU:
            slower = self._best_rate < self._rate_before / GROWTH
            self._hold(self.limit / 2 if slower else self.limit)
        self._round_started_at = now
        self._answers = self._tokens = 0
        self._longest_seconds = 0.0
        self._changed.set()

    def _hold(self, limit: float) -> None:
        self.is_growing = False
        self.limit = self._most = limit


def backoff_seconds(attempt: int, first_delay_seconds: float) -> float:
    """Delay before attempt+1 (attempt counts from 0): doubling, capped, with jitter between half and all of it."""
    delay: float = min(LONGEST_DELAY_SECONDS, first_delay_seconds * 2.0**attempt)
    return delay * random.uniform(0.5, 1.0)


def retry_after_seconds(header: str | None) -> float | None:
    """The Retry-After header as seconds from now: a number, or an HTTP date (RFC 9110 10.2.3); None if absent or unreadable."""
    if header is None:
        return None
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", header):  # fractions are not in the RFC; hosted providers send them
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (when.astimezone(UTC) - datetime.now(UTC)).total_seconds())


UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def rate_limit_seconds(headers: Mapping[str, str]) -> float | None:
    """Until a spent limit is open again, by the x-ratelimit-* headers of hosted providers; None if nothing is spent.

    For requests and for tokens: if `x-ratelimit-remaining-<kind>` is 0, `x-ratelimit-reset-<kind>` counts: `6m0s`, `20ms`, or
    a number of seconds.
    """
    waits = [
        _duration_seconds(headers.get(f"x-ratelimit-reset-{kind}", ""))
        for kind in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _duration_seconds(text: str) -> float | None:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(rf"(?:{DURATION.pattern})+", text):
        return None
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in DURATION.findall(text))
