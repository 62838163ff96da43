"""The archive in which Together gives an adapter back. Called by providers/together.py; needs zstandard, which its extra installs."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import zstandard

from burnish.errors import CorruptDataError
from burnish_trainer.artifacts.adapters import CONFIG, WEIGHTS
from burnish_trainer.hosted.held import write_at_most

CHUNK_BYTES = 1 << 20
ZSTANDARD, GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


def unpack(archive: Path, folder: Path, limit_bytes: int) -> None:
    """The two files of an adapter out of a tar archive (gzip, zstandard or plain), wherever in it they lie, and nothing else.

    CorruptDataError if it cannot be read, or one is larger than the limit.
    """
    try:
        with archive.open("rb") as raw, _decompressed(raw) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in (CONFIG, WEIGHTS):
                    write_at_most(_chunks(tar.extractfile(member)), folder / name, limit_bytes)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise CorruptDataError(f"the archive cannot be read: {error}") from error


def _chunks(source: IO[bytes] | None) -> Iterator[bytes]:
    assert source is not None
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


def _decompressed(raw: IO[bytes]) -> Any:
    start = raw.read(4)
    raw.seek(0)
    if start.startswith(GZIP):
        return gzip.open(raw, "rb")
    if start == ZSTANDARD:
        return zstandard.ZstdDecompressor().stream_reader(raw, closefd=False)
    return raw
