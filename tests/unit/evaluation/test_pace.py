"""The pace against a simulated endpoint in simulated time: it finds the plateau, from below, and weathers push-back."""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest

from burnish_client.evaluation.asking.pace import LOCAL_START, START, Pace, rate_limit_seconds, retry_after_seconds

TOKENS = 30


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Engine:
    """Answers each request after `seconds(in flight)`, up to `places` at once; more wait in its queue, or are refused."""

    def __init__(self, places: int, seconds: Callable[[int], float], *, refuses: bool = False) -> None:
        self.places, self.seconds, self.refuses = places, seconds, refuses
        self.refused = self.answered = self.peak = 0

    def run(self, pace: Pace, clock: Clock, requests: int) -> None:
        """Keep `pace.limit` requests in flight until `requests` are answered."""
        ends: list[tuple[float, float, bool]] = []
        while self.answered < requests:
            while len(ends) < int(pace.limit):
                heapq.heappush(ends, self._send(len(ends) + 1, clock.now))
            self.peak = max(self.peak, len(ends))
            end, sent_at, is_refused = heapq.heappop(ends)
            clock.now = max(clock.now, end)
            if is_refused:
                self.refused += 1
                pace.pushed_back(0.0, sent_at)
            else:
                self.answered += 1
                pace.answered(clock.now - sent_at, TOKENS)

    def _send(self, in_flight: int, now: float) -> tuple[float, float, bool]:
        if self.refuses and in_flight > self.places:
            return now + 0.01, now, True
        queue = max(1.0, in_flight / self.places)
        return now + self.seconds(min(in_flight, self.places)) * queue, now, False


def steady(_in_flight: int) -> float:
    return 1.0


@pytest.mark.parametrize(("places", "found"), [(16, {32, 64}), (32, {32, 64}), (64, {64, 128}), (1000, {256})])
def test_the_plateau_is_found_from_below(places: int, found: set[int]) -> None:
    clock = Clock()
    pace, engine = Pace(256, clock=clock), Engine(places, steady)
    engine.run(pace, clock, 4000)
    assert pace.limit in found
    assert not pace.is_growing
    assert engine.peak <= 4 * places, "never far beyond what helps"


def test_nearly_all_of_the_best_throughput_is_reached() -> None:
    clock = Clock()
    pace, engine = Pace(256, clock=clock), Engine(64, steady)
    engine.run(pace, clock, 2000)
    assert engine.answered / clock.now > 0.9 * 64


MEASURED = {
    1: 0.64,
    8: 3.64,
    32: 7.26,
    64: 9.40,
    128: 11.70,
}  # in flight -> answers a second; docs/eval-client.md


def measured_seconds(in_flight: int) -> float:
    """What an answer takes at a concurrency, between the measured ones linearly."""
    return in_flight / float(np.interp(in_flight, list(MEASURED), list(MEASURED.values())))


@pytest.mark.parametrize(("requests", "bar"), [(192, 0.85), (384, 0.9), (840, 0.95)])
def test_the_way_up_costs_little_of_what_a_small_engine_was_measured_to_deliver(requests: int, bar: float) -> None:
    rng = random.Random(1)

    def seconds(in_flight: int) -> float:
        return measured_seconds(in_flight) * rng.uniform(0.6, 1.4)

    rates = []
    for is_growing in (True, False):
        clock = Clock()
        pace = Pace(128, clock=clock, start=LOCAL_START)
        if not is_growing:
            pace.limit, pace.is_growing = 128.0, False
        Engine(1000, seconds).run(pace, clock, requests)
        rates.append(requests / clock.now)
    assert rates[0] / rates[1] > bar


def test_a_small_endpoint_gets_no_more_than_the_start_and_one_doubling() -> None:
    clock = Clock()
    pace, engine = Pace(64, clock=clock), Engine(1, steady)
    engine.run(pace, clock, 300)
    assert pace.limit <= 2 * START


def test_where_more_in_flight_is_slower_the_limit_goes_back() -> None:
    clock = Clock()
    thrashing = Engine(1000, lambda in_flight: 1.0 if in_flight <= START else in_flight / 4)
    pace = Pace(64, clock=clock)
    thrashing.run(pace, clock, 300)
    assert pace.limit == START


def test_slow_answers_stop_the_growth_before_the_timeout() -> None:
    clock = Clock()
    pace, engine = Pace(256, timeout_seconds=10.0, clock=clock), Engine(1000, lambda in_flight: in_flight / 10)
    engine.run(pace, clock, 2000)
    assert pace.limit == 32, "3.2 s at 32 in flight are more than a quarter of the timeout"


def test_refusals_lower_the_limit_below_what_is_refused() -> None:
    clock = Clock()
    pace, engine = Pace(64, clock=clock), Engine(5, steady, refuses=True)
    engine.run(pace, clock, 500)
    assert pace.limit < 10
    assert engine.refused < 0.2 * engine.answered


def test_a_burst_of_refusals_cuts_once_and_the_limit_comes_back() -> None:
    clock = Clock()
    pace = Pace(16, clock=clock)
    clock.now = 1.0
    for _ in range(10):
        pace.pushed_back(0.0, sent_at=0.5)
    assert pace.limit == 8
    pace.pushed_back(0.0, sent_at=1.5)
    assert pace.limit == 4
    for _ in range(200):
        pace.answered(1.0, TOKENS)
    assert pace.limit == 16


def test_a_timeout_or_a_lost_connection_is_no_refusal() -> None:
    clock = Clock()
    pace = Pace(16, clock=clock)
    for _ in range(200):
        pace.answered(1.0, TOKENS)
        pace.lost(sent_at=0.0)
    assert pace.limit == 16
    clock.now = 1.0
    for _ in range(9):
        pace.lost(sent_at=0.5)
    assert pace.limit == 8, "more than half a round came to nothing: the endpoint is overloaded"
    for _ in range(20):
        pace.lost(sent_at=0.5)
    assert pace.limit == 8, "those were sent before the cut"


def test_the_limit_never_falls_below_one() -> None:
    clock = Clock()
    pace = Pace(2, clock=clock)
    for second in range(10):
        clock.now = float(second)
        pace.pushed_back(0.0, sent_at=math.inf)
    assert pace.limit == 1


async def test_a_pause_holds_everyone_up() -> None:
    pace = Pace(4)
    pace.pause(0.05)
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    async with pace.turn():
        assert loop.time() - started_at >= 0.045


def test_rate_limit_headers() -> None:
    spent = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}
    assert rate_limit_seconds(spent) == 360.0
    assert rate_limit_seconds({**spent, "x-ratelimit-remaining-requests": "3"}) is None
    both = {**spent, "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}
    assert rate_limit_seconds(both) == 3723.5
    assert rate_limit_seconds({**spent, "x-ratelimit-reset-requests": "20ms"}) == pytest.approx(0.02)
    assert rate_limit_seconds({**spent, "x-ratelimit-reset-requests": "2"}) == 2.0
    assert rate_limit_seconds({**spent, "x-ratelimit-reset-requests": "soon"}) is None
    assert rate_limit_seconds({}) is None


def test_retry_after_forms() -> None:
    assert retry_after_seconds(None) is None
    assert retry_after_seconds("3") == 3.0
    assert retry_after_seconds("0.5") == 0.5
    assert retry_after_seconds("soon") is None
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 57 < (retry_after_seconds(in_a_minute) or 0) <= 60
    assert retry_after_seconds("Thu, 01 Jan 2015 00:00:00 GMT") == 0.0
