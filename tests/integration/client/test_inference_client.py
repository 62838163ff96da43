"""The inference service's SDK against an HTTP server that answers in the contract's shapes (the service itself, with vLLM, is in e2e)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from burnish.errors import IncompatibleAdapterError, NotFoundError, UnauthenticatedError
from burnish.schemas.adapter import AdapterManifest, TrainingSummary
from burnish.schemas.base import BaseModelRef, Message
from burnish_client.sdk.inference import InferenceClient

TOKEN = "the-token"


def manifest(version: str) -> AdapterManifest:
    summary = TrainingSummary(
        steps=1,
        best_step=1,
        first_train_loss=1.0,
        final_train_loss=0.5,
        best_validation_loss=None,
        trained_tokens=None,
        duration_seconds=1.0,
        peak_memory_bytes=None,
        stopped_early=False,
    )
    return AdapterManifest(
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        name="fixes",
        version=version,
        base_model=BaseModelRef(name="base", digest="sha256:0"),
        job_id="job-0",
        method="sft",
        backend="peft",
        quantization="none",
        rank=8,
        alpha=8,
        target_modules=["q_proj"],
        seed=0,
        params={},
        training=summary,
        packages={},
    )


VERSIONS = [manifest("2222"), manifest("1111")]
MODELS = [
    {"id": "fixes@2222", "object": "model", "root": "base", "parent": "base"},
    {"id": "base", "object": "model", "root": "base", "parent": None},
]


class StandIn(BaseHTTPRequestHandler):
    """Two adapter versions, a model that is echoed, one that does not fit."""

    asked: list[dict[str, Any]] = []

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._error(401, "unauthenticated", "the token is wrong")
        by_path: dict[str, Any] = {"/v1/models": {"object": "list", "data": MODELS}}
        listing = {"adapters": [version.model_dump(mode="json") for version in VERSIONS]}
        by_path |= {"/v1/adapters": listing, "/v1/adapters/fixes": listing}
        by_path |= {f"/v1/adapters/fixes/{version.version}": version.model_dump(mode="json") for version in VERSIONS}
        named = {"latest": VERSIONS[0], "production": VERSIONS[1]}
        by_path |= {f"/v1/adapters/fixes/{name}": version.model_dump(mode="json") for name, version in named.items()}
        path = self.path.partition("?")[0]
        if path not in by_path:
            return self._error(404, "not_found", f"nothing at {path}")
        return self._answer(200, by_path[path])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if body["model"] == "misfit":
            return self._error(400, "incompatible_adapter", "rank 64 is above 32")
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": body["messages"][-1]["content"].upper()},
            "finish_reason": "stop",
        }
        return self._answer(
            200, {"model": body["model"], "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
        )

    def _error(self, status: int, code: str, message: str) -> None:
        self._answer(
            status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
        )

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Nothing: a test's output is its own."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def client(url: str) -> Iterator[InferenceClient]:
    with InferenceClient(url, TOKEN) as client:
        yield client


def test_the_base_is_the_model_without_a_parent(client: InferenceClient) -> None:
    assert [card.id for card in client.models()] == ["fixes@2222", "base"]
    assert client.base_model() == "base"


def test_an_adapter_without_version_is_the_production_one(client: InferenceClient) -> None:
    assert client.adapters() == client.adapters("fixes") == VERSIONS
    assert client.adapter("fixes") == VERSIONS[1]
    assert client.adapter("fixes", "latest") == VERSIONS[0]
    assert client.adapter("fixes", "1111") == VERSIONS[1]
    with pytest.raises(NotFoundError):
        client.adapter("others")


def test_chat_sends_what_was_given_and_reads_the_first_choice(client: InferenceClient) -> None:
    answer = client.chat("base", "hello", max_tokens=5, seed=7)
    assert (answer.text, answer.finish_reason, answer.prompt_tokens, answer.completion_tokens) == (
        "HELLO",
        "stop",
        3,
        2,
    )
    assert StandIn.asked[-1] == {
        "model": "base",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 5,
        "temperature": 0.0,
        "seed": 7,
    }
    client.chat("fixes@2222", [Message(role="system", content="be brief"), {"role": "user", "content": "hi"}])
    assert StandIn.asked[-1]["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]


def test_errors_in_openai_shape_come_back_as_ours(client: InferenceClient, url: str) -> None:
    with pytest.raises(IncompatibleAdapterError, match="rank 64"):
        client.chat("misfit", "hello")
    with InferenceClient(url, "another") as stranger, pytest.raises(UnauthenticatedError):
        stranger.models()
