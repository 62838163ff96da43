"""One run for many callers."""

from __future__ import annotations

import asyncio

import pytest

from burnish_inference.adapters.single_flight import SingleFlight


async def test_a_caller_who_is_cancelled_leaves_the_run_to_the_others():
    flights: SingleFlight[str, int] = SingleFlight()
    release, runs = asyncio.Event(), []

    async def work() -> int:
        runs.append(1)
        await release.wait()
        return 7

    first, second = (asyncio.create_task(flights.run("key", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    release.set()
    assert await second == 7
    assert len(runs) == 1


async def test_a_failure_reaches_every_caller_and_is_not_kept():
    flights: SingleFlight[str, int] = SingleFlight()
    failing = True

    async def work() -> int:
        await asyncio.sleep(0.01)
        if failing:
            raise ValueError("no")
        return 1

    outcomes = await asyncio.gather(*(flights.run("key", work) for _ in range(5)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no"] * 5
    failing = False
    assert await flights.run("key", work) == 1


async def test_keys_run_side_by_side():
    flights: SingleFlight[int, int] = SingleFlight()
    both = asyncio.Barrier(2)

    async def work(number: int) -> int:
        await both.wait()
        return number

    async with asyncio.timeout(5):
        assert await asyncio.gather(*(flights.run(n, lambda n=n: work(n)) for n in (1, 2))) == [1, 2]
