"""The server's routes: token, errors in OpenAI's shape, models, limits."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from route_listing import every_route

TOKEN = "unit-test-token"
BROKEN = "b" * 16
WITHOUT_TOKEN = {"Authorization": ""}
ROUTES = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/tiny"),
    ("GET", "/v1/adapters"),
    ("GET", "/v1/adapters/fix"),
    ("GET", "/v1/adapters/fix/v1"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/metrics"),
    ("POST", "/v1/load_lora_adapter"),
    ("GET", "/no/such/route"),
    ("DELETE", "/v1/models"),
]


def error_of(response: httpx.Response) -> dict:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "reason"}
    return error


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_needs_the_token(stand, method, path):
    for given in ("", "Bearer", "Bearer wrong", "Basic unit-test-token", "Bearer  unit-test-token", "unit-test-token"):
        response = await stand.http.request(method, path, headers={"Authorization": given}, json={"model": "tiny"})
        assert response.status_code == 401
        error = error_of(response)
        assert (error["code"], error["reason"]) == ("invalid_api_key", "UNAUTHENTICATED")
        assert response.headers["www-authenticate"] == "Bearer"
    assert stand.upstream.requests == []


@pytest.mark.parametrize("given", ["", "Bearer wrong", f"Basic {TOKEN}", TOKEN])
async def test_every_route_that_the_application_has_needs_the_token_but_health(stand, server_socket, given):
    """Whatever is added later is tried here without a word."""
    routes = every_route(server_socket.app)
    assert {("GET", "/healthz"), ("POST", "/v1/completions"), ("GET", "/openapi.json")} <= set(routes)
    for method, path in routes:
        response = await stand.http.request(method, path, headers={"Authorization": given})
        assert response.status_code == (200 if path in ("/health", "/healthz", "/readyz") else 401), (method, path)


async def test_health_is_open_and_readiness_follows_the_engine(stand):
    assert (await stand.http.get("/healthz", headers=WITHOUT_TOKEN)).status_code == 200
    assert (await stand.http.get("/readyz", headers=WITHOUT_TOKEN)).status_code == 200
    stand.engine.is_up = False
    assert (await stand.http.get("/healthz", headers=WITHOUT_TOKEN)).status_code == 200
    for path in ("/readyz", "/health"):
        response = await stand.http.get(path, headers=WITHOUT_TOKEN)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
async def test_the_scheme_is_taken_in_any_case(stand, scheme):
    answer = await stand.http.get("/v1/models", headers={"Authorization": f"{scheme} {TOKEN}"})
    assert answer.status_code == 200


async def test_a_path_that_is_not_there_says_which_are(stand):
    message = error_of(await stand.http.post("/v1/responses", json={}))["message"]
    assert "POST /v1/responses does not exist" in message
    for call in ("POST /v1/chat/completions", "POST /v1/completions", "GET /v1/models", "GET /v1/adapters/{name}"):
        assert call in message


@pytest.mark.parametrize("path", ["/v1/load_lora_adapter", "/tokenize", "/invocations", "/v1/chat/completions/render"])
async def test_nothing_else_of_the_engine_is_reachable(stand, path):
    response = await stand.http.post(path, json={"model": "tiny", "lora_name": "x", "lora_path": "/etc"})
    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"
    assert stand.upstream.loads == []


async def test_a_wrong_method_is_405_in_the_same_shape(stand):
    response = await stand.http.get("/v1/chat/completions")
    assert response.status_code == 405
    assert error_of(response)["code"] == "method_not_allowed"
    assert response.headers["allow"] == "POST"
    response = await stand.http.put(f"/v1/adapters/x/{BROKEN}")
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE, GET")


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"{not json", None, "not JSON"),
        (b"[1]", None, "JSON object"),
        (b"{}", "model", "model"),
        (b'{"model": 5}', "model", "model"),
        (b'{"model": ""}', "model", "model"),
        (b"\xff\xfe", None, "not JSON"),
    ],
)
async def test_bad_bodies_are_400_with_the_reason(stand, body, param, words):
    response = await stand.http.post("/v1/completions", content=body)
    error = error_of(response)
    assert response.status_code == 400
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_input", param)
    assert words in error["message"]


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o",
        "fix@0123",
        "../base",
        "/etc/passwd",
        "fix@../../x",
        "a/b",
        "fix@",
        "@x",
        "fix@v@w",
        "x" * 500,
        "%2e%2e",
        "né",
        "fix\n",
    ],
)
async def test_an_unknown_model_is_404_and_says_where_to_look(stand, model):
    response = await stand.chat(model)
    error = error_of(response)
    assert response.status_code == 404
    assert (error["code"], error["param"], error["reason"]) == ("model_not_found", "model", "NOT_FOUND")
    assert "GET /v1/models" in error["message"]
    assert not any((stand.cache_dir / "adapters").iterdir())


async def test_a_body_above_the_limit_is_413_also_without_a_length(stand):
    async def endless():
        for _ in range(10_000):
            yield b" " * 1024

    declared = await stand.chat("tiny", padding="x" * 5000)
    assert declared.status_code == 413
    assert error_of(declared)["code"] == "request_too_large"
    assert (await stand.http.post("/v1/completions", content=endless())).status_code == 413
    assert stand.upstream.requests == []


async def test_base_requests_pass_with_every_field_kept(stand):
    response = await stand.chat("tiny", temperature=0.5, response_format={"type": "json_object"})
    assert response.status_code == 200
    assert response.json()["model"] == "tiny"
    assert "x-burnish-adapter-version" not in response.headers
    sent = stand.upstream.requests[0]
    assert sent == {
        "max_completion_tokens": 1024,
        "model": "tiny",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "response_format": {"type": "json_object"},
    }


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_more_answers_than_the_limit_are_400_and_never_reach_the_engine(stand, path):
    response = await stand.http.post(path, json={"model": "tiny", "messages": [], "prompt": "hi", "n": 200})
    error = error_of(response)
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", "n")
    assert "at most 32 answers (BURNISH_INFERENCE_MAX_CHOICES)" in error["message"]
    assert stand.upstream.requests == []


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_a_constraint_without_end_is_400_and_never_reaches_the_engine(stand, path):
    body = {"model": "tiny", "messages": [], "prompt": "hi", "structured_outputs": {"json": {"$ref": "#"}}}
    response = await stand.http.post(path, json=body)
    assert (response.status_code, error_of(response)["param"]) == (400, "structured_outputs")
    assert stand.upstream.requests == []


async def test_a_request_id_is_kept_when_harmless_and_made_otherwise(stand):
    kept = await stand.http.get("/v1/models", headers={"x-request-id": "abc-1.2_3"})
    made = await stand.http.get("/v1/models", headers={"x-request-id": "bad id \t<script>"})
    assert kept.headers["x-request-id"] == "abc-1.2_3"
    assert len(made.headers["x-request-id"]) == 32


async def test_models_and_adapters_list_every_version_newest_first(stand):
    older = stand.publish("fix", rank=2, created_at="2026-01-01T00:00:00Z")
    newer = stand.publish("fix", rank=4, created_at="2026-02-01T00:00:00Z")
    other = stand.publish("other", rank=3, created_at="2026-01-15T00:00:00Z")
    cards = (await stand.http.get("/v1/models")).json()["data"]
    assert [card["id"] for card in cards] == ["tiny", *(f"{m.name}@{m.version}" for m in (newer, other, older))]
    assert cards[0]["parent"] is None
    assert all(card["root"] == "tiny" and card["parent"] == "tiny" for card in cards[1:])
    listed = (await stand.http.get("/v1/adapters")).json()["adapters"]
    assert [adapter["version"] for adapter in listed] == [newer.version, other.version, older.version]
    versions = (await stand.http.get("/v1/adapters/fix")).json()["adapters"]
    assert [adapter["version"] for adapter in versions] == [newer.version, older.version]
    one = (await stand.http.get(f"/v1/adapters/fix/{older.version}")).json()
    assert one == older.model_dump(mode="json")
    assert (await stand.http.get("/v1/models/fix@latest")).json()["id"] == f"fix@{newer.version}"
    assert (await stand.http.get("/v1/adapters/fix/latest")).json() == newer.model_dump(mode="json")
    assert (await stand.http.get("/v1/models/tiny")).json()["id"] == "tiny"


@pytest.mark.parametrize(
    "path", ["/v1/adapters/none", "/v1/adapters/fix/nope", "/v1/models/none", "/v1/adapters/%2e%2e/x"]
)
async def test_what_is_not_there_is_404(stand, path):
    response = await stand.http.get(path)
    assert response.status_code == 404
    assert error_of(response)["reason"] == "NOT_FOUND"


async def test_a_broken_manifest_leaves_the_listing_whole(stand):
    good = stand.publish("fix")
    stand.store.put(f"adapters/fix/{BROKEN}/manifest.json", b"{}")
    stand.store.put("adapters/half/0001/adapter_model.safetensors", b"x")
    cards = (await stand.http.get("/v1/models")).json()["data"]
    assert [card["id"] for card in cards] == ["tiny", f"fix@{good.version}"]
    response = await stand.chat(f"fix@{BROKEN}")
    assert response.status_code == 400
    assert error_of(response)["code"] == "incompatible_adapter"


async def test_models_are_asked_of_the_bucket_once_however_many_ask(stand, monkeypatch):
    newer, listings = stand.publish(rank=2), []
    list_objects = stand.store.list
    monkeypatch.setattr(stand.store, "list", lambda prefix: listings.append(prefix) or list_objects(prefix))
    for _ in range(5):
        cards = (await stand.http.get("/v1/models")).json()["data"]
        assert [each["id"] for each in cards] == ["tiny", f"fix@{newer.version}"]
    assert listings.count("adapters/") == 1


async def test_adapters_come_in_pages(stand):
    ranks = (2, 4, 6)
    for number, rank in enumerate(ranks):
        stand.publish(rank=rank, created_at=datetime(2026, 1, 1 + number, tzinfo=UTC))
    for path, field in (
        ("/v1/adapters", "adapters"),
        ("/v1/adapters/fix", "adapters"),
        ("/v1/adapter-uses", "versions"),
    ):
        first = (await stand.http.get(path, params={"page_size": 2})).json()
        second = (await stand.http.get(path, params={"page_size": 2, "page_token": first["next_page_token"]})).json()
        found = [one.get("adapter", one)["rank"] for one in first[field] + second[field]]
        assert (found, second["next_page_token"]) == ([6, 4, 2], "")
        assert len((await stand.http.get(path)).json()[field]) == 3
