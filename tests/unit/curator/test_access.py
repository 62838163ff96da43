"""Who may call, and how failures look from outside."""

from __future__ import annotations

import logging
import re

import httpx
import pytest

from burnish.errors import UnavailableError
from burnish.objectstores.memory import MemoryObjectStore
from burnish_curator.access import Access
from burnish_curator.app import Deps, create_app


def every_call(deps: Deps) -> list[tuple[str, str]]:
    paths = create_app(deps).openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


async def test_every_call_but_health_wants_the_token(anonymous: httpx.AsyncClient, deps: Deps) -> None:
    calls = every_call(deps)
    assert len(calls) == 25
    for method, path in calls:
        answer = await anonymous.request(method, re.sub(r"{\w+}", "x", path), headers={"Authorization": "Bearer wrong"})
        expected = 200 if path in ("/healthz", "/readyz") else 401
        assert answer.status_code == expected, (method, path)


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dTpw", "bearer wrong", "Bearer ünïcode"])
async def test_a_bad_token_is_unauthenticated(anonymous: httpx.AsyncClient, value: str) -> None:
    answer = await anonymous.get("/v1/runlogs", headers={"Authorization": value.encode()})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["reason"] == "UNAUTHENTICATED"


async def test_request_ids_are_answered_and_taken_if_plain(caller: httpx.AsyncClient) -> None:
    given = await caller.get("/v1/runlogs/x", headers={"X-Request-Id": "abc-1"})
    assert given.headers["x-request-id"] == given.json()["error"]["request_id"] == "abc-1"
    made = await caller.get("/healthz", headers={"X-Request-Id": "no\tplain id"})
    assert re.fullmatch("[0-9a-f]{16}", made.headers["x-request-id"])


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("DELETE", "/v1/runlogs", 405, "INVALID_INPUT"),
        ("POST", "/v1/runlogs", 400, "INVALID_INPUT"),
        ("GET", "/v1/runlogs/x/rows?limit=nine", 400, "INVALID_INPUT"),
        ("POST", "/v1/datasets", 400, "INVALID_INPUT"),
        ("GET", "/v1/runlogs/%2e%2e/rows", 400, "INVALID_INPUT"),
        ("GET", "/v1/evals/%2e%2e%5cx", 404, "NOT_FOUND"),
    ],
)
async def test_refused_requests_have_the_error_form(
    caller: httpx.AsyncClient, method: str, path: str, status: int, reason: str
) -> None:
    answer = await caller.request(method, path)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)


class BrokenStore(MemoryObjectStore):
    """Fails as a store that is down, or as our own defect would."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def list_folders(self, prefix: str) -> object:  # type: ignore[override]
        raise self.error


def over(deps: Deps, error: Exception) -> httpx.AsyncClient:
    broken = Deps(BrokenStore(error), deps.database, deps.cache_dir, deps.token, deps.lengths)
    headers = {"Authorization": f"Bearer {deps.token}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(broken)), base_url="http://c", headers=headers)


async def test_a_defect_is_logged_and_not_told(deps: Deps, caplog: pytest.LogCaptureFixture) -> None:
    async with over(deps, RuntimeError("the secret is plover")) as caller:
        with caplog.at_level(logging.ERROR):
            answer = await caller.get("/v1/runlogs")
    assert (answer.status_code, answer.json()["error"]["reason"]) == (500, "INTERNAL")
    assert "plover" not in answer.text
    assert "the secret is plover" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text


async def test_not_ready_while_a_part_does_not_answer(deps: Deps) -> None:
    async with over(deps, UnavailableError("object store s3:1 does not answer")) as caller:
        assert (await caller.get("/readyz")).status_code == 503
        assert (await caller.get("/healthz")).status_code == 200


def test_sessions_end_and_are_bound_to_the_token() -> None:
    mine, other = Access("one"), Access("two")
    session = mine.new_session()
    assert mine.is_session(session)
    assert not other.is_session(session)
    expiry, _, signature = session.partition(".")
    assert not mine.is_session(f"{int(expiry) + 1}.{signature}")
    assert not mine.is_session(f"1.{mine._sign('session', '1')}")
    for nonsense in ("", ".", "x", "x.y", f"{expiry}.", "ü.ü"):
        assert not mine.is_session(nonsense)
    assert mine.is_form_token(mine.form_token(session), session)
    assert not mine.is_form_token(mine.form_token(session), mine.new_session() + "0")
