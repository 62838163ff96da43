"""One object that cannot be read is one broken entry of a list, with its name; the others are listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from unit.registry.made import evaluation

from burnish import layout
from burnish.objectstores.memory import MemoryObjectStore

Document = dict[str, Any]
QUESTION = {"question_id": "q", "prompt": "?", "expected_answer": "a", "grader": {"name": "exact"}}


def naive(document: Document) -> bytes:
    return json.dumps(document | {"created_at": "2026-01-01T00:00:00"}).encode()


def torn(document: Document) -> bytes:
    return json.dumps(document).encode()[:-9]


def wrong_type(document: Document) -> bytes:
    return json.dumps(document | {"files": 7}).encode()


def foreign(document: Document) -> bytes:
    return json.dumps({"kind": "Pod", "metadata": {}}).encode()


def of_another(document: Document) -> bytes:
    return json.dumps(document).encode()  # the whole manifest, under a key that is not its own


@pytest.mark.parametrize("breaking", [naive, torn, wrong_type, foreign, of_another])
async def test_lists_name_what_is_broken_and_have_the_rest(
    caller: httpx.AsyncClient, memory_store: MemoryObjectStore, breaking: Callable[[Document], bytes]
) -> None:
    line = {"question_id": "q", "question": "?", "answer": "a", "retrieval_hit": True, "grade": "wrong"}
    for kind, row in (("runlogs", line), ("benchmarks", QUESTION)):
        made = await caller.post(f"/v1/{kind}", params={"name": "n"}, content=json.dumps(row))
        assert made.status_code == 200, made.text
    memory_store.put(layout.evaluation("eval1"), evaluation("ship").model_dump_json().encode())
    for kind, key in [
        ("runlogs", layout.runlog("broken")),
        ("benchmarks", layout.benchmark("n", "broken")),
        ("evals", layout.evaluation("broken")),
    ]:
        (whole,) = (await caller.get(f"/v1/{kind}")).json()[kind]
        memory_store.put(key, breaking(whole))
        answer = await caller.get(f"/v1/{kind}")
        assert answer.status_code == 200
        assert answer.json()[kind] == [whole]
        (broken,) = answer.json()["broken"]
        assert broken["key"] == key
        assert key in broken["problem"]


async def test_the_newest_dataset_is_said_to_be_broken_if_no_version_can_be_read(
    caller: httpx.AsyncClient, memory_store: MemoryObjectStore
) -> None:
    key = layout.dataset("fix", "0" * 16)
    memory_store.put(key, b"{torn")
    listed = (await caller.get("/v1/datasets")).json()
    assert (listed["datasets"], [each["key"] for each in listed["broken"]]) == ([], [key])
    answer = await caller.get("/v1/datasets/fix/latest")
    assert answer.json()["error"]["reason"] == "CORRUPT_DATA"
    assert key in answer.json()["error"]["message"]
