"""A full disk: told as one, with nothing half-written, and still reported."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest
from adapter_making import adapter_files, make_base, make_manifest
from adapter_making import publish as publish_adapter
from full_disk import NoRoom
from unit.trainer.test_checkpoint_models import JOB, _save, publish

from burnish.errors import PreconditionError
from burnish.schemas.base import VersionRef
from burnish_trainer.artifacts import adapters
from burnish_trainer.artifacts.checkpoints import Checkpoints
from burnish_trainer.executors.events import EventWriter, Note, parse
from burnish_trainer.worker.reserve import RESERVE_BYTES, Reserve


def test_an_initial_adapter_finds_no_room(tmp_path: Path) -> None:
    store, files = NoRoom(), adapter_files()
    manifest = publish_adapter(store, make_manifest("fix", files, make_base(tmp_path / "base"), 4), files)
    ref = VersionRef(name="fix", version=manifest.version)
    with pytest.raises(
        PreconditionError, match=rf"no room to fetch adapter fix@{ref.version} in .*/initial: about 1 MB"
    ):
        adapters.fetch(store, ref, tmp_path / "initial")
    store.has_room = True
    assert adapters.fetch(store, ref, tmp_path / "initial").is_dir()


def test_a_checkpoint_finds_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = NoRoom()
    checkpoints = Checkpoints(store, JOB, tmp_path)
    checkpoints.upload(_save(checkpoints, 5, 0.5))
    with pytest.raises(PreconditionError, match=r"no room to fetch the checkpoint in .*point TMPDIR at a larger disk"):
        publish(store, 5)
    elsewhere = Checkpoints(store, JOB, tmp_path / "elsewhere")
    with pytest.raises(PreconditionError, match=r"no room to fetch the checkpoint of step 5 in .*elsewhere"):
        elsewhere.latest()
    assert list(elsewhere.folder.iterdir()) == []
    store.has_room = True
    assert publish(store, 5).name == "colours"
    found = elsewhere.latest()
    assert found is not None
    assert found.step == 5


def test_half_a_line_never_runs_into_the_next(tmp_path: Path) -> None:
    """/dev/full cannot be truncated, so the file is filled up to a limit on its size."""
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
    reserve = Reserve(tmp_path / "reserve")
    assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES
    reserve.release()
    reserve.release()
    assert not (tmp_path / "reserve").exists()
