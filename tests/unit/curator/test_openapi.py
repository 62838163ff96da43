"""The OpenAPI document says what is sent and answered, so that a client can be generated from it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from burnish_curator.app import Deps, create_app

STREAMED = {("post", "/v1/runlogs"), ("post", "/v1/runlogs/{run_log_id}/review"), ("post", "/v1/benchmarks")}
JSONL = {
    ("get", "/v1/runlogs/{run_log_id}/rejected"),
    ("get", "/v1/runlogs/{run_log_id}/review"),
    ("get", "/v1/benchmarks/{name}/{version}/questions"),
    ("get", "/v1/datasets/{name}/{version}/export"),
    ("get", "/v1/datasets/{name}/{version}/left-out"),
}


@pytest.fixture
def calls(deps: Deps) -> dict[tuple[str, str], dict[str, Any]]:
    paths = create_app(deps).openapi()["paths"]
    return {(method, path): call for path, methods in paths.items() for method, call in methods.items()}


def error_schema(call: dict[str, Any], status: str) -> str:
    reference: str = call["responses"][status]["content"]["application/json"]["schema"]["$ref"]
    return reference.rpartition("/")[2]


def test_every_call_states_its_errors_in_our_form_and_not_in_fastapis(calls: dict[Any, Any]) -> None:
    for (method, path), call in calls.items():
        assert "422" not in call["responses"], (method, path)
        if path in ("/healthz", "/readyz"):
            continue
        statuses = {"400", "401", "404", "503", "default"} | (
            {"408", "409", "413"} if method in ("post", "put") else set()
        )
        assert statuses <= call["responses"].keys(), (method, path)
        assert {error_schema(call, status) for status in statuses} == {"ErrorBody"}
        assert call["security"] == [{"token": []}]


def test_what_is_sent_and_answered_is_described(calls: dict[Any, Any]) -> None:
    for (method, path), call in calls.items():
        if method in ("post", "put"):
            assert all(media["schema"] for media in call["requestBody"]["content"].values()), (method, path)
        done = call["responses"].get("200") or call["responses"]["204"]
        assert "204" in call["responses"] or all(media["schema"] for media in done["content"].values()), (method, path)
    for key in STREAMED:
        assert {"application/x-ndjson", "application/octet-stream"} == calls[key]["requestBody"]["content"].keys()
    for key in JSONL:
        assert calls[key]["responses"]["200"]["content"].keys() == {"application/x-ndjson"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/runlogs/x?nmae=x", "'nmae' is not known: this call takes none"),
        ("/v1/datasets/d/v/export?form=together&splt=train", "'splt' is not known: there are form, split"),
        ("/v1/datasets/d/v/export?form=together&split=test", "split"),
    ],
)
async def test_an_unknown_query_value_is_400(caller: httpx.AsyncClient, path: str, words: str) -> None:
    answer = await caller.get(path)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "INVALID_INPUT")
    assert words in answer.json()["error"]["message"]
