"""Lists of the curator in pages, and how often the bucket is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from runlog_making import jsonl, run

from burnish.objectstores.memory import MemoryObjectStore
from burnish.ports import ObjectInfo
from burnish_curator.app import Deps, create_app


class CountingStore(MemoryObjectStore):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.calls.append(f"list {prefix}")
        return super().list(prefix)

    def get(self, key: str, size_bytes: int | None = None) -> bytes:
        self.calls.append(f"get {key}")
        return super().get(key, size_bytes)


@pytest.fixture
def memory_store() -> CountingStore:
    return CountingStore()


async def pages(caller: httpx.AsyncClient, path: str, field: str) -> list[list[Any]]:
    found, token = [], ""
    while True:
        answer = await caller.get(path, params={"page_size": 2} | ({"page_token": token} if token else {}))
        assert answer.status_code == 200, answer.text
        found.append(answer.json()[field])
        if not (token := answer.json()["next_page_token"]):
            return found


async def test_every_list_has_pages_and_is_whole_without(caller: httpx.AsyncClient) -> None:
    for number in range(5):
        question = {"question_id": "q", "prompt": f"{number}?", "expected_answer": "y", "grader": {"name": "exact"}}
        await caller.post("/v1/benchmarks", params={"name": f"b{number}"}, content=jsonl([question]))
        await caller.post("/v1/runlogs", params={"name": "log"}, content=jsonl([run(f"q{number}")]))
    for field in ("runlogs", "benchmarks"):
        whole = (await caller.get(f"/v1/{field}")).json()
        assert (len(whole[field]), whole["next_page_token"]) == (5, "")
        found = await pages(caller, f"/v1/{field}", field)
        assert [len(page) for page in found] == [2, 2, 1]
        assert [one for page in found for one in page] == whole[field]
    for path in ("/v1/datasets", "/v1/datasets/none", "/v1/evals", "/v1/erasures"):
        assert await pages(caller, path, path.split("/")[2]) == [[]]
    for query in ("page_size=0", "page_size=1001", "page_token=%21"):
        assert (await caller.get(f"/v1/runlogs?{query}")).status_code == 400


async def test_a_list_is_one_listing_and_readiness_none(
    caller: httpx.AsyncClient, deps: Deps, memory_store: CountingStore
) -> None:
    for number in range(3):
        question = {"question_id": "q", "prompt": f"{number}?", "expected_answer": "y", "grader": {"name": "exact"}}
        await caller.post("/v1/benchmarks", params={"name": f"b{number}"}, content=jsonl([question]))
    fresh = httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(deps)), base_url="http://c", headers=caller.headers
    )
    memory_store.calls.clear()
    await fresh.get("/v1/benchmarks")
    assert [call.split()[0] for call in memory_store.calls] == ["list", "get", "get", "get"]
    memory_store.calls.clear()
    await fresh.get("/v1/benchmarks")
    assert memory_store.calls == ["list benchmarks/"]
    memory_store.calls.clear()
    assert len(await pages(fresh, "/v1/benchmarks", "benchmarks")) == 2
    assert memory_store.calls == ["list benchmarks/"]
    memory_store.calls.clear()
    assert (await fresh.get("/readyz")).status_code == 200
    assert memory_store.calls == ["get readiness"]
