"""A full disk is told as one, whoever met it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from burnish.errors import PreconditionError
from burnish_trainer.artifacts import disk
from burnish_trainer.executors.events import EventWriter, Note, parse


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:683] . PytorchStreamWriter failed writing file data/0"),
    ],
)
def test_a_full_disk_says_which_folder_and_how_much(error: Exception, tmp_path: Path) -> None:
    with (
        pytest.raises(PreconditionError) as refused,
        disk.needing(3_500_000, tmp_path / "not-yet", "save a checkpoint"),
    ):
        raise error
    assert str(refused.value).startswith(
        f"no room to save a checkpoint in {tmp_path / 'not-yet'}: about 4 MB are needed"
    )
    assert refused.value.metadata["needed_bytes"] == "3500000"


def test_other_errors_pass() -> None:
    with pytest.raises(PermissionError), disk.needing(1, Path("/"), "write"):
        raise PermissionError(errno.EACCES, "os error 13")


def test_an_error_behind_another_is_found(tmp_path: Path) -> None:
    hidden = RuntimeError("unexpected pos 64 vs 0")
    hidden.__context__ = OSError(errno.ENOSPC, "full")
    with pytest.raises(PreconditionError), disk.needing(1, tmp_path, "write"):
        raise hidden


def test_room_is_required_beforehand(tmp_path: Path) -> None:
    disk.require(1, tmp_path, "begin")
    with pytest.raises(PreconditionError, match="no room to begin"):
        disk.require(10**18, tmp_path, "begin")


def test_half_a_line_never_runs_into_the_next(tmp_path: Path) -> None:
    """/dev/full cannot be truncated, so the file is filled up to a limit on its size."""
    import resource

    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    writer.write(Note(message="first"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            writer.write(Note(message="second"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.write(Note(message="third"))
    writer.close()
    told, _ = parse(path.read_bytes())
    assert [event.message for event in told if isinstance(event, Note)] == ["first", "third"]


def test_the_reserve_is_released(tmp_path: Path) -> None:
    reserve = disk.Reserve(tmp_path / "reserve")
    assert (tmp_path / "reserve").stat().st_size == disk.RESERVE_BYTES
    reserve.release()
    reserve.release()
    assert not (tmp_path / "reserve").exists()
