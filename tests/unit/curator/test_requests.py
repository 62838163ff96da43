"""Content codings of request bodies."""

from __future__ import annotations

import gzip
import zlib

import pytest

from burnish.errors import InvalidInputError
from burnish_curator.requests import BLOCK_BYTES, decode, gunzip


def test_a_small_bomb_comes_out_in_small_blocks() -> None:
    bomb = gzip.compress(b"\0" * (64 * 1024 * 1024))
    sizes = [len(block) for block in gunzip([bomb])]
    assert sum(sizes) == 64 * 1024 * 1024
    assert max(sizes) <= BLOCK_BYTES


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_members_may_be_cut_anywhere(step: int) -> None:
    data = gzip.compress(b"one\n", mtime=0) + gzip.compress(b"") + gzip.compress(b"two\n")
    assert b"".join(gunzip(data[n : n + step] for n in range(0, len(data), step))) == b"one\ntwo\n"


def test_an_empty_body_is_empty() -> None:
    assert list(gunzip([])) == []


@pytest.mark.parametrize("data", [b"plain", zlib.compress(b"x"), gzip.compress(b"x", mtime=0) + b"garbage"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="not gzip"):
        list(gunzip([data]))


def test_codings_by_name() -> None:
    assert list(decode(iter([b"x"]), "Identity")) == [b"x"]
    assert list(decode(iter([gzip.compress(b"x", mtime=0)]), "GZIP")) == [b"x"]
