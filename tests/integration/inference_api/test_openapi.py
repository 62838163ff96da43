"""The OpenAPI document says what is sent and answered, so that a client can be generated from it."""

from __future__ import annotations


async def test_every_call_states_its_body_its_answers_and_its_errors(stand):
    document = (await stand.http.get("/openapi.json")).json()
    calls = {(m, path): call for path, methods in document["paths"].items() for m, call in methods.items()}
    assert {("post", "/v1/chat/completions"), ("get", "/v1/models"), ("get", "/health")} <= calls.keys()
    for key, call in calls.items():
        assert "422" not in call["responses"], key
        done = call["responses"].get("200")
        assert key[0] == "delete" if done is None else all(media["schema"] for media in done["content"].values()), key
        if key[1] in ("/health", "/healthz", "/readyz"):
            assert "security" not in call
            continue
        assert call["security"] == [{"token": []}]
        for status in ("400", "401", "404", "408", "413", "503", "default"):
            schema = call["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (key, status)


async def test_completions_have_a_body_and_two_kinds_of_answer(stand):
    document = (await stand.http.get("/openapi.json")).json()
    for path, needed in (("/v1/chat/completions", "messages"), ("/v1/completions", "prompt")):
        call = document["paths"][path]["post"]
        assert call["requestBody"]["content"]["application/json"]["schema"]["required"] == ["model", needed]
        assert call["responses"]["200"]["content"].keys() == {"application/json", "text/event-stream"}
