"""One caller's work does not keep another's from the engine, whatever it sends; callers' keys, and what they open."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from integration.inference_api.conftest import CALLER_KEYS

TOKENS = 1000  # of each request, about
SLOTS = 8  # requests that the engine holds at once


class Slots:
    """In vLLM's place: first come, first served, some requests at once. Each ends when the test lets it."""

    def __init__(self, upstream) -> None:
        self.held, self.most, self.served = Counter(), Counter(), []
        self._slots, self._answer, self.step = asyncio.Semaphore(SLOTS), upstream.complete, asyncio.Semaphore(0)
        upstream.complete = self.complete

    async def complete(self, request):
        user = (await request.json())["user"]
        self.held[user] += 1
        self.most[user] = max(self.most[user], self.held[user])
        try:
            async with self._slots:
                await self.step.acquire()
            self.served.append(user)
            return await self._answer(request)
        finally:
            self.held[user] -= 1


@pytest.fixture
def slots(stand, upstream_socket):
    slots = Slots(stand.upstream)
    upstream_socket.app = stand.upstream.app()
    stand.upstream.exposition = (
        f'vllm:cache_config_info{{block_size="16",num_gpu_blocks="{SLOTS * TOKENS // 16}"}} 1.0\n'
    )
    return slots


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {CALLER_KEYS[name]}"}


async def ask(http: httpx.AsyncClient, user: str, headers: dict[str, str] | None = None, **more) -> httpx.Response:
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": TOKENS - 20,
        "user": user,
    } | more
    return await http.post("/v1/chat/completions", json=body, headers=headers)


async def modest_beside_greedy(slots, eventually, greedy_http, modest_http, greedy=None, modest=None) -> None:
    """The modest one's answers come after one answer of the greedy one each, at most, although 60 were asked for before."""
    greedy_asks = [asyncio.create_task(ask(greedy_http, "greedy", greedy)) for _ in range(60)]
    await eventually(lambda: slots.held["greedy"] == SLOTS // 2)
    for _ in range(5):
        before = len(slots.served)
        asking = asyncio.create_task(ask(modest_http, "modest", modest))
        await eventually(lambda: slots.held["modest"] == 1)
        while not asking.done():
            slots.step.release()
            await asyncio.sleep(0.02)
        assert asking.result().status_code == 200
        assert slots.served[before:].count("greedy") <= SLOTS
    assert slots.most["greedy"] <= SLOTS // 2
    for _ in range(60):
        slots.step.release()
    answers = await asyncio.gather(*greedy_asks)
    assert {answer.status_code for answer in answers} == {200}


async def test_a_greedy_key_does_not_delay_a_modest_one(stand, slots, eventually):
    await modest_beside_greedy(slots, eventually, stand.http, stand.http, bearer("batch"), bearer("app"))


async def test_without_keys_callers_are_told_apart_by_their_address(stand, slots, eventually):
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(
        transport=transport, base_url=stand.http.base_url, headers=stand.http.headers, timeout=20
    ) as elsewhere:
        await modest_beside_greedy(slots, eventually, stand.http, elsewhere)


async def test_shares_come_back_whatever_becomes_of_a_request(stand, slots, eventually):
    """Streams, refusals and callers who leave, waiting or answered: afterwards there is as much room as before."""
    slots.step = asyncio.Semaphore(10**6)
    stand.upstream.delay_seconds = 0.01
    for more in ({"stream": True}, {}, {"model": "none"}, {"n": "x"}):
        await asyncio.gather(*(ask(stand.http, "a", **more) for _ in range(3 * SLOTS)))
    slots.step = asyncio.Semaphore(0)
    asking = [asyncio.create_task(ask(stand.http, "a", stream=number % 2 == 0)) for number in range(3 * SLOTS)]
    await eventually(lambda: slots.held["a"] == SLOTS // 2)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    slots.step = asyncio.Semaphore(10**6)
    slots.most.clear()
    stand.upstream.delay_seconds = 0
    answers = await asyncio.gather(*(ask(stand.http, "a") for _ in range(3 * SLOTS)))
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/tiny", 200),
        ("GET", "/v1/modelsx", 403),
        ("GET", "/v1/adapters", 403),
        ("POST", "/v1/aliases/x/production/promote", 403),
        ("DELETE", "/v1/adapters/x/0000000000000000", 403),
        ("GET", "/metrics", 403),
        ("GET", "/no/such/route", 403),
        ("GET", "/healthz", 200),
    ],
)
async def test_a_callers_key_opens_completions_and_models_alone(stand, method, path, status):
    answer = await stand.http.request(method, path, headers=bearer("app"))
    assert answer.status_code == status
    if status == 403:
        assert "BURNISH_TOKEN" in answer.json()["error"]["message"]
    assert (await stand.http.request(method, path, headers={"Authorization": "Bearer app"})).status_code in (401, 200)
