"""A file is replaced whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from burnish.files import sync, write_atomically


class KilledError(BaseException):
    """Stands for a process that ends while it writes."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_content_and_chunks_are_written_and_folders_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "report.html"
    write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    write_atomically(path, iter([b"tw", b"o"]), survives_power_cut=False)
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["report.html"]


def test_a_reader_sees_the_old_content_until_the_new_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_atomically(path, b"old")

    def chunks() -> Iterator[bytes]:
        yield b"ne"
        assert path.read_bytes() == b"old"
        yield b"w"

    write_atomically(path, chunks())
    assert path.read_bytes() == b"new"


def test_a_crash_while_writing_keeps_the_old_content_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_atomically(path, b"old")

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise KilledError

    with pytest.raises(KilledError):
        write_atomically(path, broken())
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["manifest.json"])


def test_a_failure_between_write_and_rename_leaves_nothing(tmp_path: Path) -> None:
    in_the_way = tmp_path / "manifest.json"
    in_the_way.mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(in_the_way, b"new")
    assert names(tmp_path) == ["manifest.json"]


def test_two_writers_of_one_name_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "state.json"

    def chunks() -> Iterator[bytes]:
        yield b"first "
        write_atomically(path, b"second")
        yield b"writer"

    write_atomically(path, chunks())
    assert path.read_bytes() == b"first writer"


def test_a_secret_is_readable_by_its_owner_alone_from_the_first_byte(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        (partial,) = tmp_path.iterdir()
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600
        yield b"secret"

    write_atomically(tmp_path / "login.json", chunks(), mode=0o600)
    assert stat.S_IMODE((tmp_path / "login.json").stat().st_mode) == 0o600


def test_other_files_have_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "report.html", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.html").stat().st_mode) == 0o640


def test_sync_takes_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    sync(tmp_path / "file")
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "none")
