"""A disk that runs full while a job trains: told as that, nothing half-written, the last whole checkpoint stays."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from full_disk import fill, small_disk
from integration.trainer.attempts import Attempts
from integration.trainer.trainer_process import until

from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef
from burnish_trainer.artifacts.checkpoint_models import list_checkpoints
from burnish_trainer.executors.events import Failed, Succeeded
from burnish_trainer.executors.local import LocalExecutor

pytestmark = pytest.mark.model

OPTIMIZER = {"max_steps": 250, "batch_size": 2, "evaluation_interval_steps": 100, "early_stopping_patience": 0}
ROOM_BYTES = 40_000_000
LIMIT_BYTES = 100_000  # less than the optimizer's state takes, more than the events


def refused(attempts: Attempts) -> Failed:
    final = attempts.said()[-1]
    assert isinstance(final, Failed), (final, attempts.log())
    assert (final.error["reason"], final.retry) == ("PRECONDITION", False)
    assert final.error["message"].startswith(
        f"no room to save a checkpoint in {attempts.folder / 'checkpoints'}: about "
    )
    return final


def whole_folders(attempts: Attempts) -> list[str]:
    """Of checkpoints on this machine; asserts that there are no others."""
    folders = sorted((attempts.folder / "checkpoints").glob("checkpoint-*"))
    assert all((folder / "manifest.json").is_file() for folder in folders)
    return [folder.name for folder in folders]


def test_a_limit_on_file_sizes_is_told(
    store_environment: dict[str, str],
    trainer_store: S3ObjectStore,
    tiny_base: Path,
    dataset: VersionRef,
    tmp_path: Path,
) -> None:
    """What a quota does too: a write in the middle of a file fails."""
    executor = LocalExecutor(tmp_path, tiny_base, (), store_environment)
    attempts = Attempts(executor, dataset, "job-00000000000000d1", OPTIMIZER, ["cpu"])
    worker = attempts.start()
    until(attempts.saved, 240, "no checkpoint")
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))
    assert attempts.ends(worker) == "exit code 1"
    refused(attempts)
    saved = attempts.saved()
    assert whole_folders(attempts) == [f"checkpoint-{saved[-1]}"]
    assert [info.step for info in list_checkpoints(trainer_store, attempts.job_id)] == saved


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", ROOM_BYTES) as folder:
        yield folder


def test_a_full_disk_is_told_and_the_job_goes_on_once_there_is_room(
    store_environment: dict[str, str],
    trainer_store: S3ObjectStore,
    tiny_base: Path,
    dataset: VersionRef,
    disk: Path,
) -> None:
    executor = LocalExecutor(disk, tiny_base, (), store_environment)
    attempts = Attempts(executor, dataset, "job-00000000000000d2", OPTIMIZER, ["cpu"])
    worker = attempts.start()
    until(attempts.saved, 240, "no checkpoint")
    filler = disk / "filler"
    fill(filler)
    assert attempts.ends(worker) == "exit code 1"
    message = refused(attempts).error["message"]
    assert "MB are needed and" in message
    saved = attempts.saved()
    assert whole_folders(attempts) == [f"checkpoint-{saved[-1]}"]
    assert [info.step for info in list_checkpoints(trainer_store, attempts.job_id)] == saved
    filler.unlink()
    assert attempts.ends(attempts.start()) == "exit code 0", attempts.log()
    assert isinstance(attempts.said()[-1], Succeeded)
    assert any(f"resumed from step {saved[-1]}" in str(event) for event in attempts.said())
