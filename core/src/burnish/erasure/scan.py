"""Searches stored objects for texts: whatever their format, packed or not. Weights and checkpoints are not read."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from burnish.erasure.parts import strings_of
from burnish.erasure.texts import BLOCK_BYTES, Texts
from burnish.layout import CHECKPOINTS
from burnish.ports import ObjectInfo, ObjectStore

NOT_READ = (".safetensors", ".bin", ".pt", ".npy", ".npz")


def is_read(key: str) -> bool:
    return not key.startswith(CHECKPOINTS) and not key.endswith(NOT_READ)


def find_in_object(store: ObjectStore, info: ObjectInfo, texts: Texts, spool: Path) -> set[int]:
    """Numbers of the texts that stand in an object. spool: a folder for its copy. NotFoundError if it is gone."""
    path = spool / "scanned"
    try:
        store.get_file(info.key, path)
        return find_in_file(path, info.key, texts)
    finally:
        path.unlink(missing_ok=True)


def find_in_file(path: Path, name: str, texts: Texts) -> set[int]:
    if name.endswith(".parquet"):
        return find_in(_parquet(path), texts)
    return find_in(_unpacked(path) if name.endswith(".gz") else _blocks(path), texts)


def find_in(chunks: Iterable[bytes], texts: Texts) -> set[int]:
    """Numbers of the texts that stand in a stream, also across its chunks; a few MiB in memory."""
    found: set[int] = set()
    block = bytearray()
    for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK_BYTES:
            found |= texts.found_in(bytes(block))
            del block[: len(block) - texts.longest]
    return found | texts.found_in(bytes(block))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        while block := handle.read(BLOCK_BYTES):
            yield block


def _unpacked(path: Path) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    for block in _blocks(path):
        yield unpacker.decompress(block)
    yield unpacker.flush()


def _parquet(path: Path) -> Iterator[bytes]:
    with pq.ParquetFile(path) as source:
        for number in range(source.num_row_groups):
            yield from strings_of(source.read_row_group(number))
