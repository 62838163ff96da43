"""What endpoints take from a request: parts of the application, known query parameters, and the body as byte chunks for a worker thread.

A body is kept on disk until all of it has come, then decompressed as it is read, and never whole in memory.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Annotated, Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import Depends, Query, Request

from burnish.asgi.bodies import LIMIT
from burnish.asgi.types import Scope
from burnish.errors import InvalidInputError, UnavailableError
from burnish.machine import disk
from burnish.service.paging import MOST_ITEMS
from burnish_curator.access import COOKIE, Access, is_review
from burnish_curator.settings import MORE_ROOM

BLOCK_BYTES = 1024 * 1024
JSON_BYTES = 4 * 1024 * 1024
SIGN_IN_BYTES = 16 * 1024
JSONL = "application/x-ndjson"
Result = TypeVar("Result")


def state(name: str) -> Callable[[Request], Any]:
    """A FastAPI dependency: the part of this name of `app.state`, as `create_app` set it. Async, so that it takes no thread."""

    async def read(request: Request) -> Any:
        return getattr(request.app.state, name)

    return read


async def in_thread(
    request: Request,
    work: Callable[[Iterator[bytes]], Result],
    limiter: anyio.CapacityLimiter | None = None,
    limit_bytes: int | None = None,
) -> Result:
    """Run `work` on the decoded body in a worker thread, once all of the body has come; it may be as large as an upload, or limit_bytes.

    The body waits on disk meanwhile, so a slow sender holds neither a thread nor one of the limiter's slots.
    """
    encoding = request.headers.get("content-encoding", "identity")
    check_encoding(encoding)
    app_state = request.app.state
    request.scope["state"][LIMIT] = limit_bytes or app_state.max_upload_bytes
    size = request.headers.get("content-length", "")
    room = disk.needing(
        int(size) if size.isdecimal() else None, app_state.spool, "take the upload", MORE_ROOM, UnavailableError
    )
    with room, tempfile.SpooledTemporaryFile(max_size=BLOCK_BYTES, dir=app_state.spool) as spool:
        async for block in _blocks(request):
            if len(block) < BLOCK_BYTES:  # stays in memory, or is the last one
                spool.write(block)
            else:
                await anyio.to_thread.run_sync(spool.write, block, limiter=app_state.spool_writes)
        spool.seek(0)
        return await anyio.to_thread.run_sync(lambda: work(decode(_read(spool), encoding)), limiter=limiter)


def check_encoding(encoding: str) -> None:
    """InvalidInputError for any content coding but gzip and identity."""
    if encoding.lower() not in ("gzip", "identity", ""):
        raise InvalidInputError(
            f"Content-Encoding {encoding!r} is not known: send gzip or none", field="Content-Encoding"
        )


def decode(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The chunks without their content coding. InvalidInputError for any coding but gzip and identity."""
    check_encoding(encoding)
    return gunzip(chunks) if encoding.lower() == "gzip" else chunks


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress in blocks of at most 1 MiB, whatever the ratio. Several members in a row are one body.

    InvalidInputError if the data is not gzip or ends early.
    """
    unzip = zlib.decompressobj(wbits=31)
    fed = False
    for chunk in chunks:
        data = chunk
        while data:
            if unzip.eof:
                unzip = zlib.decompressobj(wbits=31)
            fed = True
            try:
                block = unzip.decompress(data, BLOCK_BYTES)
            except zlib.error as error:
                raise InvalidInputError(f"the body is not gzip as Content-Encoding says: {error}") from error
            if block:
                yield block
            data = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
    if fed and not unzip.eof:
        yield from filter(None, [unzip.flush()])
        if not unzip.eof:
            raise InvalidInputError("the gzip body ends early: send it again")


BINARY = {"type": "string", "format": "binary"}


def jsonl_body(schema: str) -> dict[str, Any]:
    """OpenAPI description of a JSONL request body whose lines are of a schema. Any media type is taken."""
    text = f"JSONL, one {schema} a line; Content-Encoding gzip is understood"
    media = {"schema": BINARY | {"description": text}}
    return {"requestBody": {"required": True, "content": {JSONL: media, "application/octet-stream": media}}}


def jsonl_answer(schema: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI description of an answer of JSONL whose lines are of a schema."""
    text = f"JSONL, one {schema} a line"
    return {200: {"description": text, "content": {JSONL: {"schema": BINARY | {"description": text}}}}}


def body_limit(access: Access) -> Callable[[Scope], int]:
    """The size of a body that a route does not read by `in_thread`. A form of a browser without a session is a sign-in."""

    def limit(scope: Scope) -> int:
        if not is_review(scope["path"]):
            return JSON_BYTES
        session = Request(scope).cookies.get(COOKIE, "")
        return JSON_BYTES if access.is_session(session) else SIGN_IN_BYTES

    return limit


@dataclass(frozen=True)
class PageQuery:
    """Which page of a list is asked for."""

    size: int | None
    token: str

    @property
    def goes_on(self) -> bool:
        """Whether an earlier page was asked for a moment ago."""
        return bool(self.token)


def page_query(
    page_size: Annotated[int | None, Query(ge=1, le=MOST_ITEMS, description="without it, the whole list")] = None,
    page_token: Annotated[str, Query(description="next_page_token of the page before")] = "",
) -> PageQuery:
    """A FastAPI dependency."""
    return PageQuery(page_size, page_token)


Paging = Annotated[PageQuery, Depends(page_query)]


async def known_query(request: Request) -> None:
    """A FastAPI dependency: InvalidInputError for a query parameter that the route does not have."""
    route = request.scope["route"]
    call = request.app.openapi()["paths"][route.path][request.method.lower()]
    known = [parameter["name"] for parameter in call.get("parameters", ()) if parameter["in"] == "query"]
    for name in request.query_params:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "this call takes none"
            raise InvalidInputError(f"query parameter {name!r} is not known: {there}", field=name)


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """Blocks of 1 MiB or more, and a smaller last one."""
    block = bytearray()
    async for piece in request.stream():
        block += piece
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _read(spool: IO[bytes]) -> Iterator[bytes]:
    while block := spool.read(BLOCK_BYTES):
        yield block
