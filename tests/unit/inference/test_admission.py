"""Fair shares: who may have how many tokens in flight, and whose turn it is."""

from __future__ import annotations

import asyncio

import pytest

from burnish.errors import PreconditionError, ResourceExhaustedError
from burnish_inference.admission import MOST_WAITING, Admission
from burnish_inference.api.shares import cache_tokens
from burnish_inference.limits import Limits
from burnish_inference.settings import InferenceSettings

CAPACITY = 1200


async def ask(admission: Admission, caller: str, count: int, tokens: int = 100) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(admission.enter(caller, tokens)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def admitted(tasks: list[asyncio.Task[int]]) -> int:
    return sum(task.done() for task in tasks)


async def test_a_caller_alone_has_half_and_greedy_ones_leave_as_much_for_the_next() -> None:
    admission = Admission(CAPACITY)
    first = await ask(admission, "first", 50)
    assert admitted(first) == 6
    second = await ask(admission, "second", 50)
    assert admitted(second) == 3
    for _ in range(20):  # as answers end, what is freed goes to whoever has least
        admission.leave("first", 100)
        await asyncio.sleep(0)
    assert (admitted(first) - 20, admitted(second)) == (4, 4)
    newcomer = await ask(admission, "newcomer", 1, tokens=400)
    assert admitted(newcomer) == 1
    for task in (*first, *second):
        task.cancel()


async def test_a_large_request_is_not_starved_by_small_ones() -> None:
    admission = Admission(CAPACITY)
    small = await ask(admission, "small", 6)
    large = await ask(admission, "large", 1, tokens=10**9)  # counts as half
    assert (admitted(small), admitted(large)) == (6, 1)
    second = await ask(admission, "second", 1, tokens=10**9)
    more = await ask(admission, "small", 20)
    for _ in range(6):
        assert (admitted(second), admitted(more)) == (0, 0)  # nobody overtakes it
        admission.leave("small", 100)
        await asyncio.sleep(0)
    assert (admitted(second), admitted(more)) == (1, 0)
    for task in more:
        task.cancel()


async def test_one_that_goes_away_while_it_waits_takes_nothing() -> None:
    admission = Admission(CAPACITY)
    tasks = await ask(admission, "a", 8)
    tasks[6].cancel()
    await asyncio.sleep(0)
    admission.leave("a", 100)
    tasks[7].cancel()  # admitted in this very moment
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(5):
        admission.leave("a", 100)
    assert admitted(await ask(admission, "b", 20)) == 6


async def test_too_many_that_wait_are_refused() -> None:
    admission = Admission(CAPACITY)
    tasks = await ask(admission, "a", 6 + MOST_WAITING)
    with pytest.raises(ResourceExhaustedError, match="wait for answers"):
        await admission.enter("a", 1)
    assert await admission.enter("b", 1) == 1
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize(
    ("payload", "tokens"),
    [
        ({"prompt": [1, 2, 3], "max_tokens": 5}, 8),
        ({"prompt": [[1, 2], [3]], "max_tokens": 5, "n": 2}, 2 + 20),
        ({"prompt": "x" * 298, "max_tokens": 5}, 105),
        ({"prompt": "x" * 30_000}, 2048 + 16),
        ({"messages": [], "max_completion_tokens": 10**9}, 2048),
        ({"messages": None, "max_tokens": -1, "max_completion_tokens": "x", "n": None}, 1 + 16),
    ],
)
def test_tokens_are_counted_by_what_was_asked_for(payload: dict[str, object], tokens: int) -> None:
    assert Limits().tokens(payload) == pytest.approx(tokens, abs=3)


def test_the_capacity_is_what_vllm_says_of_its_cache() -> None:
    page = b'# TYPE vllm:cache_config_info gauge\nvllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100"} 1.0\n'
    assert cache_tokens(page) == 1600
    assert cache_tokens(page.replace(b'"100"', b'"None"')) is None
    assert cache_tokens(b"") is None


def settings(keys: str) -> InferenceSettings:
    return InferenceSettings(base_model="/none", caller_keys=keys)  # type: ignore[arg-type]


def test_keys_of_callers() -> None:
    assert settings("").keys_of_callers() == {}
    one, two = "Zq3xV9mB7wKd5Lr8", "Hn2cT6yF4gJp1Sa0="
    assert settings(f"app={one}, batch={two}").keys_of_callers() == {"app": one, "batch": two}
    for wrong in ("app", f"app={one},app={two}", f"a={one},b={one}", f"a b={one}"):
        with pytest.raises(PreconditionError, match="BURNISH_INFERENCE_CALLER_KEYS: entry") as refused:
            settings(wrong).keys_of_callers()
        assert one not in str(refused.value)
    with pytest.raises(PreconditionError, match="the key of app has 3 characters"):
        settings("app=x7Q").keys_of_callers()
