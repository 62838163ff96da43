"""A full disk is told as one, whoever met it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from burnish.errors import PreconditionError, UnavailableError
from burnish.machine import disk

REMEDY = "use another disk"


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
        disk.needing(3_500_000, tmp_path / "not-yet", "save a checkpoint", REMEDY),
    ):
        raise error
    assert str(refused.value).startswith(
        f"no room to save a checkpoint in {tmp_path / 'not-yet'}: about 4 MB are needed"
    )
    assert str(refused.value).endswith("make room, or use another disk")
    assert refused.value.metadata["needed_bytes"] == "3500000"


def test_other_errors_pass() -> None:
    with pytest.raises(PermissionError), disk.needing(1, Path("/"), "write", REMEDY):
        raise PermissionError(errno.EACCES, "os error 13")


def test_an_error_behind_another_is_found(tmp_path: Path) -> None:
    hidden = RuntimeError("unexpected pos 64 vs 0")
    hidden.__context__ = OSError(errno.ENOSPC, "full")
    with pytest.raises(PreconditionError), disk.needing(1, tmp_path, "write", REMEDY):
        raise hidden


def test_room_is_required_beforehand(tmp_path: Path) -> None:
    disk.require(1, tmp_path, "begin", REMEDY)
    with pytest.raises(PreconditionError, match="no room to begin"):
        disk.require(10**18, tmp_path, "begin", REMEDY)


def test_a_broken_part_elsewhere_is_no_full_disk_here() -> None:
    """What the object store or an inner step says already stays as it is."""
    with pytest.raises(UnavailableError, match="its disk is full"), disk.needing(1, Path("/"), "write", REMEDY):
        raise UnavailableError("the object store: its disk is full") from OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize("problem", ["database or disk is full", "could not extend file: No space left on device"])
def test_a_full_database_says_where(problem: str, tmp_path: Path) -> None:
    error = disk.full_database("the queue's database", str(tmp_path / "queue.db"), problem)
    assert str(error).startswith("the disk of the queue's database is full, nothing was changed: free some space in ")
    assert f"{tmp_path} (" in str(error)
    assert "free some space there, then" in str(disk.full_database("the queue's database", None, problem))
    assert disk.full_database("the queue's database", None, "database is locked") is None
