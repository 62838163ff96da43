"""Writing a local file so that it appears whole or not at all. Whoever writes a file that another process may read calls this."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


def write_atomically(
    path: Path, content: bytes | Iterable[bytes], *, mode: int = 0o666, survives_power_cut: bool = True
) -> None:
    """Write to a temporary file beside `path`, then rename it over `path`: a reader sees the old content or the new one.

    Whatever goes wrong on the way, `path` keeps what it had and the temporary file is removed. Missing folders are made.
    mode: of the new file, less the umask; 0o600 for secrets, which then nobody else can read at any moment.
    survives_power_cut: wait until the content and the new name are on disk. False costs nothing and loses at most the last write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            for chunk in [content] if isinstance(content, bytes) else content:
                handle.write(chunk)
            handle.flush()
            if survives_power_cut:
                os.fsync(handle.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if survives_power_cut:
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def mark_used(folder: Path) -> None:
    """So that `trim` takes others first."""
    os.utime(folder)


def trim(root: Path, limit_bytes: int, keep: Collection[str] = (), unused_seconds: float = 0.0) -> list[str]:
    """Remove the folders of a cache that were used longest ago, until what is left has at most limit_bytes; their names.

    keep: names of folders that stay in any case, as do hidden ones and those that were used within unused_seconds.
    """
    found = [each for path in root.iterdir() if not path.name.startswith(".") and (each := _folder_of_cache(path))]
    excess, removed = sum(each.size_bytes for each in found) - limit_bytes, []
    for each in sorted(found, key=lambda each: each.used_at):
        if excess <= 0 or each.used_at > time.time() - unused_seconds:
            break
        if each.path.name not in keep:
            with suppress(FileNotFoundError):
                shutil.rmtree(each.path)
            excess -= each.size_bytes
            removed.append(each.path.name)
    return removed


class _CacheFolder(NamedTuple):
    path: Path
    used_at: float
    size_bytes: int


def _folder_of_cache(path: Path) -> _CacheFolder | None:
    """None if it is no folder, or is removed by somebody else meanwhile."""
    try:
        if not path.is_dir():
            return None
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return _CacheFolder(path, path.stat().st_mtime, size)
    except FileNotFoundError:
        return None
