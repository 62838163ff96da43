"""What no client sends, to every route: each is answered as the caller's mistake, and nothing is a defect.

The calls are those of the hostile round (tests/hostile), before an engine that takes whatever it is sent: what vLLM itself
makes of them is the round's part.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import httpx
import orjson
import pytest
from hostile.inference_calls import InferenceCalls, http_tricks
from hostile.sending import Call, send
from integration.inference_api.conftest import TOKEN
from route_listing import never_called


@pytest.fixture
def max_request_bytes() -> int:
    return 4 * 1024 * 1024


def made(url: str) -> InferenceCalls:
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as http:
        return InferenceCalls(http)


def faults(url: str, calls: Iterable[Call]) -> list[str]:
    """What was answered with a 500, not at all, to somebody without access, or refused without an explanation."""
    found, address = [], httpx.URL(url)
    for call in calls:
        answer = send((address.host, address.port or 0), call.encoded(TOKEN, address.netloc.decode()))
        let_in = not call.allowed and 200 <= answer.status < 400
        unanswered = call.well_formed and not answer.status
        refused = call.well_formed and 400 <= answer.status < 500 and call.method != "HEAD"
        if answer.status >= 500 or let_in or unanswered or (refused and not is_explained(answer.content)):
            found.append(f"{call.method} {call.target[:200]} {call.body[:200]!r}: {answer.content[-300:]!r}")
    return found


def is_explained(content: bytes) -> bool:
    """In OpenAI's shape with a message, or by the HTTP server if it was no HTTP."""
    _, _, body = content.partition(b"\r\n\r\n")
    if body == b"Invalid HTTP request received.":
        return True
    try:
        return bool(orjson.loads(body)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False


async def test_every_route_is_called_and_tried_without_access(stand, server_socket):
    """A route that comes later has to get hostile calls in tests/hostile/inference_calls.py."""
    table = list((await asyncio.to_thread(made, server_socket.url)).table())
    app = server_socket.app
    assert never_called(app, [(call.method, call.target) for call in table if call.allowed]) == []
    open_to_all = never_called(app, [(call.method, call.target) for call in table if not call.allowed])
    assert open_to_all == ["GET /health", "GET /healthz", "GET /readyz"]


async def test_the_table_of_hostile_calls(stand, server_socket, caplog):
    stand.publish()
    table = list((await asyncio.to_thread(made, server_socket.url)).table())
    assert len(table) > 1500
    assert await asyncio.to_thread(faults, server_socket.url, table) == []
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


async def test_calls_that_hypothesis_makes(stand, server_socket, caplog):
    calls = (await asyncio.to_thread(made, server_socket.url)).made(200, seed=1)
    assert await asyncio.to_thread(faults, server_socket.url, calls) == []
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


async def test_http_that_is_wrong(stand, server_socket):
    assert await asyncio.to_thread(faults, server_socket.url, http_tricks("inference", "/v1/models")) == []
