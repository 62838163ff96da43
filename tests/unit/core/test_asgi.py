"""The token, and bounds on bodies, before a route sees a request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from burnish.asgi.access import TokenCheck, is_bearer
from burnish.asgi.bodies import LIMIT, BodyLimits, Pace
from burnish.asgi.types import Receive, Scope, Send

TOKEN = b"the-token"


@pytest.mark.parametrize("header", [b"Bearer the-token", b"bearer the-token", b"BEARER the-token"])
def test_the_scheme_is_taken_in_any_case(header: bytes) -> None:
    assert is_bearer(header, TOKEN)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"the-token",
        b"Bearer  the-token",
        b"Bearer The-token",
        b"Basic the-token",
        b"\xff x",
    ],
)
def test_anything_else_is_refused(header: bytes) -> None:
    assert not is_bearer(header, TOKEN)


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Sender:
    """Gives out pieces of a body, and then nothing for ever, unless they are all of it. asked: how often it was read."""

    def __init__(self, *pieces: bytes, is_whole: bool = True, seconds_a_piece: float = 0.0) -> None:
        self.pieces = list(pieces)
        self.is_whole = is_whole
        self.seconds = seconds_a_piece
        self.asked = 0

    async def __call__(self) -> Scope:
        self.asked += 1
        if not self.pieces:
            await asyncio.Event().wait()
        await asyncio.sleep(self.seconds)
        piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or not self.is_whole}


def request(**headers: str) -> Scope:
    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "path": "/v1/x", "headers": encoded, "state": {}}


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"size", str(size).encode())]})


async def answered(app: Any, scope: Scope, receive: Receive) -> dict[bytes, bytes]:
    sent: list[Scope] = []

    async def send(message: Scope) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return dict(sent[0]["headers"])


def limited(app: Any = read_all, limit: int = 10, **pace: float) -> BodyLimits:
    return BodyLimits(app, lambda scope: limit, Refused, Pace(**pace))


async def test_a_body_within_the_limit_passes_whole() -> None:
    headers = await answered(limited(), request(content_length="10"), Sender(b"12345", b"67890"))
    assert headers == {b"size": b"10"}


async def test_a_body_that_is_declared_too_large_is_never_read() -> None:
    sender = Sender(b"x" * 11)
    with pytest.raises(Refused, match="larger than 10 bytes") as refused:
        await answered(limited(), request(content_length="11"), sender)
    assert (refused.value.status, sender.asked) == (413, 0)


async def test_a_body_without_a_length_is_read_up_to_the_limit() -> None:
    sender = Sender(*[b"x" * 4] * 100)
    with pytest.raises(Refused) as refused:
        await answered(limited(), request(transfer_encoding="chunked"), sender)
    assert (refused.value.status, sender.asked) == (413, 3)


async def test_a_route_may_take_more_than_the_default() -> None:
    async def upload(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"][LIMIT] = 1000
        await read_all(scope, receive, send)

    assert await answered(limited(upload), request(content_length="100"), Sender(b"x" * 100)) == {b"size": b"100"}


async def test_a_sender_that_stalls_is_given_up() -> None:
    with pytest.raises(Refused, match="came too slowly: 1 bytes") as refused:
        await answered(limited(idle_seconds=0.05), request(content_length="5"), Sender(b"x", is_whole=False))
    assert refused.value.status == 408


async def test_a_sender_that_trickles_is_given_up_and_a_steady_one_is_not() -> None:
    pace = {"idle_seconds": 1.0, "grace_seconds": 0.1}
    trickle = Sender(*[b"x"] * 100, seconds_a_piece=0.02)
    with pytest.raises(Refused) as refused:
        await answered(limited(limit=1000, least_bytes_per_second=100, **pace), request(content_length="100"), trickle)
    assert refused.value.status == 408
    assert 3 < trickle.asked < 20
    steady = Sender(*[b"x"] * 20, seconds_a_piece=0.02)
    app = limited(limit=1000, least_bytes_per_second=10, **pace)
    assert await answered(app, request(content_length="20"), steady) == {b"size": b"20"}


async def test_without_the_token_no_body_is_read() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})

    app = limited(TokenCheck(read_all, TOKEN.decode(), {"/healthz"}.__contains__, refuse))
    sender = Sender(b"x" * 5)
    assert await answered(app, request(content_length="5"), sender) == {}
    assert sender.asked == 0
    headers = await answered(app, request(authorization="bearer the-token", content_length="5"), sender)
    assert headers == {b"size": b"5"}
