"""Who may call, and how failures look from outside."""

from __future__ import annotations

import logging
import re

import httpx
import pytest
from itsdangerous import TimestampSigner
from route_listing import every_route

from burnish.errors import UnavailableError
from burnish.objectstores.memory import MemoryObjectStore
from burnish_curator.access import DEVICE_COOKIE, Access, SignInDelay
from burnish_curator.app import Deps, create_app

TOKEN = "unit-test-token"
OPEN = {("GET", "/healthz"), ("GET", "/readyz")}
FORM = {"token": "wrong", "next": "/review/x", "form_token": "x", "question_id": "x", "failure_label": "x"}


@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", f"Token {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
async def test_every_route_but_health_needs_the_token(
    anonymous: httpx.AsyncClient, deps: Deps, given: str | None
) -> None:
    """All that the application has, the review page's too: whatever is added later is tried here without a word."""
    headers = {"Authorization": given} if given else {}
    app = create_app(deps)
    routes = every_route(app)
    schema = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert len(routes) >= len(schema) + 4  # the schema itself, and the review page
    for method, path in routes:
        body = FORM if path.startswith("/review") and method == "POST" else None
        answer = await anonymous.request(method, path, headers=headers, data=body)
        expected = (200,) if (method, path) in OPEN else (401, 429) if path == "/review/sign-in" else (401,)
        assert answer.status_code in expected, (method, path)


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dTpw", "bearer wrong", "Bearer ünïcode"])
async def test_a_bad_token_is_unauthenticated(anonymous: httpx.AsyncClient, value: str) -> None:
    answer = await anonymous.get("/v1/runlogs", headers={"Authorization": value.encode()})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["reason"] == "UNAUTHENTICATED"


async def test_request_ids_are_answered_and_taken_if_plain(caller: httpx.AsyncClient) -> None:
    given = await caller.get("/v1/runlogs/x", headers={"X-Request-Id": "abc-1"})
    assert given.headers["x-request-id"] == given.json()["error"]["request_id"] == "abc-1"
    made = await caller.get("/healthz", headers={"X-Request-Id": "no\tplain id"})
    assert re.fullmatch("[0-9a-f]{32}", made.headers["x-request-id"])


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("DELETE", "/v1/runlogs", 405, "INVALID_INPUT"),
        ("POST", "/v1/runlogs", 400, "INVALID_INPUT"),
        ("GET", "/v1/runlogs/x/rows?limit=nine", 400, "INVALID_INPUT"),
        ("POST", "/v1/datasets", 400, "INVALID_INPUT"),
        ("GET", "/v1/runlogs/%2e%2e/rows", 404, "NOT_FOUND"),
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

    def list(self, prefix: str) -> object:  # type: ignore[override]
        raise self.error

    def get(self, key: str, size_bytes: int | None = None) -> bytes:
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


async def test_a_part_that_does_not_answer_is_a_line_of_the_log_and_no_traceback(
    deps: Deps, caplog: pytest.LogCaptureFixture
) -> None:
    async with over(deps, UnavailableError("object store s3:1 does not answer")) as caller:
        assert (await caller.get("/v1/runlogs")).status_code == 503
    (told,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert ("s3:1 does not answer" in told.getMessage(), told.exc_info) == (True, None)


async def test_not_ready_while_a_part_does_not_answer(deps: Deps) -> None:
    async with over(deps, UnavailableError("object store s3:1 does not answer")) as caller:
        assert (await caller.get("/readyz")).status_code == 503
        assert (await caller.get("/healthz")).status_code == 200


def test_a_session_is_bound_to_the_token_and_a_form_token_to_its_session() -> None:
    mine, other = Access("one"), Access("two")
    session = mine.new_session()
    assert mine.is_session(session)
    assert not other.is_session(session)
    name, time_, signature = session.split(".")
    for nonsense in (
        "",
        ".",
        "x",
        "x.y",
        "x.y.z",
        f"{name}.{time_}",
        f"{name}.{time_}.",
        f"x.{time_}.{signature}",
        "ü.ü",
    ):
        assert not mine.is_session(nonsense), nonsense
    form = mine.form_token(session)
    assert mine.is_form_token(form, session)
    assert not mine.is_form_token(form, mine.new_session())
    assert not other.is_form_token(form, session)
    assert not mine.is_form_token(signature, session), "a session's own signature is no form token"


def test_a_session_ends_after_twelve_hours_whoever_changes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    access, now = Access("one"), [1_800_000_000]
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda signer: now[0])
    session = access.new_session()
    now[0] += 12 * 3600
    assert access.is_session(session)
    name, _, signature = session.split(".")
    younger = access.new_session().split(".")[1]
    now[0] += 1
    assert not access.is_session(session)
    assert not access.is_session(f"{name}.{younger}.{signature}")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_wrong_tokens_make_an_address_wait_longer_and_longer_up_to_a_minute() -> None:
    clock = Clock()
    delay = SignInDelay(clock)
    waits = []
    for _ in range(12):
        waits.append(delay.wait_seconds("10.0.0.1"))
        clock.now += waits[-1]
        assert delay.wait_seconds("10.0.0.1") == 0
        delay.failed("10.0.0.1")
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert delay.wait_seconds("10.0.0.2") == 0, "another address"
    clock.now += delay.FORGOTTEN_AFTER_SECONDS + 1
    assert delay.wait_seconds("10.0.0.1") == 0


def test_the_right_token_clears_an_address_and_no_more_than_so_many_are_remembered() -> None:
    delay = SignInDelay(Clock())
    for _ in range(3):
        delay.failed("first")
    assert delay.wait_seconds("first") == 1
    delay.succeeded("first")
    assert delay.wait_seconds("first") == 0
    for number in range(3 * delay.MOST_CALLERS):
        delay.failed(f"address-{number}")
    assert len(delay._failures) == delay.MOST_CALLERS


async def test_guessing_at_the_review_page_is_slowed_down_and_then_not_even_looked_at(
    anonymous: httpx.AsyncClient,
) -> None:
    async def sign_in(token: str) -> httpx.Response:
        return await anonymous.post("/review/sign-in", data={"token": token, "next": "/review/x"})

    assert [(await sign_in(f"guess-{number}")).status_code for number in range(4)] == [401, 401, 401, 429]
    answer = await sign_in(TOKEN)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "wait 1 s" in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_browser_that_signed_in_before_is_not_locked_out_by_its_neighbours(
    anonymous: httpx.AsyncClient, deps: Deps
) -> None:
    async def sign_in(token: str, device: str = "") -> httpx.Response:
        headers = {"Cookie": f"{DEVICE_COOKIE}={device}"} if device else {}
        data = {"token": token, "next": "/review/x"}
        answer = await anonymous.post("/review/sign-in", data=data, headers=headers)
        anonymous.cookies.clear()
        return answer

    device = (await sign_in(TOKEN)).cookies[DEVICE_COOKIE]
    for _ in range(4):
        last = await sign_in("wrong")
    assert last.status_code == 429
    assert (await sign_in(TOKEN, "made.up.cookie")).status_code == 429
    assert (await sign_in(TOKEN, device)).status_code == 303
    for _ in range(4):
        last = await sign_in("wrong", device)
    assert last.status_code == 429, "the cookie is no way round the delay"
    assert not Access(deps.token).is_session(device), "and opens nothing"


async def test_no_redirect_goes_where_the_caller_says_and_a_405_says_what_is_allowed(caller: httpx.AsyncClient) -> None:
    elsewhere = await caller.get("/v1/runlogs/", headers={"Host": "evil.example"})
    assert (elsewhere.status_code, "location" in elsewhere.headers) == (404, False)
    wrong = await caller.put("/readyz")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    for path, methods in (
        ("/v1/runlogs/x/review", "DELETE, GET, POST"),
        ("/v1/runlogs", "GET, POST"),
        ("/review/x", "GET"),
    ):
        wrong = await caller.put(path)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, methods), path
