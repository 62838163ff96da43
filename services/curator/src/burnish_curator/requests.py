"""What endpoints take from a request: parts of the application, and the body as byte chunks for a worker thread.

A body is streamed, held back at the reader's pace, decompressed on the way, and never whole in memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import anyio.from_thread
import anyio.to_thread
from fastapi import Request

from burnish.errors import InvalidInputError

BLOCK_BYTES = 1024 * 1024
JSONL = "application/x-ndjson"
Result = TypeVar("Result")


def state(name: str) -> Callable[[Request], Any]:
    """A FastAPI dependency: the part of this name of `app.state`, as `create_app` set it."""

    def read(request: Request) -> Any:
        return getattr(request.app.state, name)

    return read


async def in_thread(
    request: Request, work: Callable[[Iterator[bytes]], Result], limiter: anyio.CapacityLimiter | None = None
) -> Result:
    """Run `work` on the decoded body in a worker thread; the client waits while the limiter's slots are taken."""
    encoding = request.headers.get("content-encoding", "identity")
    return await anyio.to_thread.run_sync(lambda: work(decode(_blocks(request), encoding)), limiter=limiter)


def decode(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The chunks without their content coding. InvalidInputError for any coding but gzip and identity."""
    if encoding.lower() in ("identity", ""):
        return chunks
    if encoding.lower() == "gzip":
        return gunzip(chunks)
    raise InvalidInputError(f"Content-Encoding {encoding!r} is not known: send gzip or none", field="Content-Encoding")


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


def jsonl_body(schema: str) -> dict[str, Any]:
    """OpenAPI description of a streamed JSONL request body whose lines are of a schema."""
    text = f"JSONL, one {schema} a line; Content-Encoding gzip is understood"
    return {"requestBody": {"required": True, "content": {JSONL: {"schema": {"type": "string", "description": text}}}}}


def _blocks(request: Request) -> Iterator[bytes]:
    """Blocks of about 1 MiB from the event loop, one at a time, so that the sender is held back by the reader."""
    stream = request.stream()

    async def next_block() -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in stream:
            pieces.append(piece)
            size += len(piece)
            if size >= BLOCK_BYTES:
                break
        return b"".join(pieces)

    while block := anyio.from_thread.run(next_block):
        yield block
