"""The lease over HTTP: what a trainer asks for, and what callers of completions see meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration.inference_api.conftest import Socket, Stand, standing

from burnish.adapters.base import BaseModel
from burnish_inference.device.keeper import Sharer

CARD = "GPU-1"
SLEPT = ["/sleep?level=1&mode=abort", "/wake_up"]


@pytest.fixture
def wait_seconds() -> float:
    return 0.0


@pytest.fixture
async def lender(
    tmp_path: Path, base: BaseModel, upstream_socket: Socket, server_socket: Socket, wait_seconds: float
) -> AsyncIterator[Stand]:
    """A server that lends its card, of which 4 of 24 are free beside vLLM, and 23 while it sleeps or has ended."""

    def free(names: Any) -> int:
        return 4 if stand.engine.is_up and not stand.engine.is_asleep else 23

    sharer = Sharer("sleep", (CARD,), 20, 0.05, free)
    more = {"sharer": sharer, "lease_wait_seconds": wait_seconds}
    async with standing(tmp_path, base, upstream_socket, server_socket, **more) as stand:
        yield stand


async def ask(stand: Stand, holder: str = "job-a", size_bytes: int = 10, devices: str = CARD) -> dict[str, Any]:
    body = {"holder": holder, "devices": [devices], "size_bytes": size_bytes, "ttl_seconds": 60}
    response = await stand.http.post("/v1/device/lease", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def until_granted(stand: Stand) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while not (answer := await ask(stand))["granted"]:
            await asyncio.sleep(0.01)
    return answer


async def give_back(stand: Stand, *, wait: bool = True) -> None:
    assert (await stand.http.delete("/v1/device/lease/job-a")).status_code == 200
    async with asyncio.timeout(20):
        while wait and (await stand.http.get("/v1/device")).json()["phase"] != "serving":
            await asyncio.sleep(0.01)


async def test_a_job_has_the_card_and_serving_comes_back(lender: Stand) -> None:
    assert (await lender.chat("tiny")).status_code == 200
    answer = await until_granted(lender)
    assert answer["needed"]
    assert answer["device"] | {"held_seconds": 0, "expires_seconds": 60} == {
        "sharing": "sleep",
        "devices": [CARD],
        "phase": "asleep",
        "holder": "job-a",
        "is_granted": True,
        "held_seconds": 0,
        "expires_seconds": 60,
        "free_bytes": 23,
    }
    refused = await lender.chat("tiny")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "10"
    assert refused.json()["error"]["reason"] == "DEVICE_LENT"
    assert "job-a" in refused.json()["error"]["message"]
    assert (await lender.http.get("/readyz")).json()["error"]["reason"] == "DEVICE_LENT"
    assert (await lender.http.get("/healthz")).status_code == 200
    page = (await lender.http.get("/metrics")).text
    assert "burnish_inference_device_lent 1.0" in page
    await give_back(lender)
    assert (await lender.chat("tiny")).status_code == 200
    assert lender.upstream.slept == SLEPT
    assert lender.engine.calls == ["suspend", "resume"]
    assert lender.engine.generation == 1
    assert "burnish_inference_device_lent 0.0" in (await lender.http.get("/metrics")).text


async def test_beside_vllm_or_on_another_card_there_is_nothing_to_lend(lender: Stand) -> None:
    for answer in (await ask(lender, size_bytes=3), await ask(lender, devices="GPU-2")):
        assert not answer["needed"]
        assert answer["device"]["holder"] is None
    assert (await lender.chat("tiny")).status_code == 200


async def test_a_server_that_shares_otherwise_lends_nothing(stand: Stand) -> None:
    assert (await ask(stand))["needed"] is False
    status = (await stand.http.get("/v1/device")).json()
    assert (status["sharing"], status["phase"], status["holder"]) == ("separate", "serving", None)


@pytest.mark.parametrize("who", ["base", "adapter"])
async def test_a_vllm_that_wakes_otherwise_than_it_slept_is_started_again(lender: Stand, who: str) -> None:
    manifest = lender.publish()
    adapter = f"fix@{manifest.version}"
    assert (await lender.chat(adapter)).status_code == 200
    lender.upstream.forgets_in_sleep.add("tiny" if who == "base" else adapter)
    await until_granted(lender)
    lender.upstream.probed.clear()
    await give_back(lender)
    assert lender.engine.calls == ["suspend", "hold", "release"]
    assert lender.upstream.probed == ["tiny"] if who == "base" else ["tiny", adapter]
    assert (await lender.chat(adapter)).status_code == 200, "the new vLLM learns the adapter again"


async def test_a_sleep_that_is_refused_ends_vllm(lender: Stand) -> None:
    lender.upstream.sleep_status = 500
    assert (await until_granted(lender))["device"]["phase"] == "stopped"
    assert lender.engine.calls == ["suspend", "hold"]
    await give_back(lender)
    assert (await lender.chat("tiny")).status_code == 200


async def test_a_stream_under_way_ends_before_vllm_sleeps(lender: Stand) -> None:
    lender.upstream.chunks, lender.upstream.delay_seconds = 8, 0.05
    body = {"model": "tiny", "messages": [], "stream": True}
    async with lender.http.stream("POST", "/v1/chat/completions", json=body) as response:
        chunks = response.aiter_lines()
        assert "data" in await anext(chunks)
        assert (await ask(lender))["device"]["phase"] == "draining"
        assert (await lender.chat("tiny")).status_code == 503
        assert lender.upstream.slept == []
        rest = [line async for line in chunks]
    assert rest[-2:] == ["data: [DONE]", ""]
    await until_granted(lender)
    assert lender.upstream.slept == SLEPT[:1]


@pytest.mark.parametrize("wait_seconds", [20.0])
async def test_a_request_may_wait_for_the_card(lender: Stand) -> None:
    await until_granted(lender)
    asked = asyncio.create_task(lender.chat("tiny"))
    await asyncio.sleep(0.1)
    assert not asked.done()
    await give_back(lender, wait=False)
    assert (await asked).status_code == 200


async def test_nothing_of_vllms_own_control_is_passed_on(lender: Stand) -> None:
    for path in ("/sleep", "/wake_up", "/is_sleeping", "/collective_rpc", "/v1/sleep", "/server_info"):
        assert (await lender.http.post(path)).status_code == 404
        assert (await lender.http.get(path)).status_code == 404
    assert lender.upstream.slept == []


async def test_every_call_of_the_lease_needs_the_token(lender: Stand) -> None:
    async with httpx.AsyncClient(base_url=lender.http.base_url, trust_env=False) as stranger:
        assert (await stranger.get("/v1/device")).status_code == 401
        assert (await stranger.post("/v1/device/lease", json={})).status_code == 401
        assert (await stranger.delete("/v1/device/lease/job-a")).status_code == 401


@pytest.mark.parametrize("wrong", [{"holder": ""}, {"devices": []}, {"ttl_seconds": 0}, {"ttl_seconds": 1e9}, {"x": 1}])
async def test_an_ask_that_makes_no_sense_is_refused(lender: Stand, wrong: dict[str, Any]) -> None:
    body = {"holder": "job-a", "devices": [CARD], "ttl_seconds": 60} | wrong
    assert (await lender.http.post("/v1/device/lease", json=body)).status_code == 400
