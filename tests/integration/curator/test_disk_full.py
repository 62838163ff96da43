"""A curator whose disk is full, or whose files may not grow: it says so, leaves nothing, and goes on once there is room."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from full_disk import fill, small_disk
from integration.curator.process import CuratorProcess, start_curator
from runlog_making import jsonl, run

from burnish.objectstores.s3 import S3ObjectStore

LOG = jsonl([run(f"q{number}", answer="x" * 200_000) for number in range(12)])  # more than is kept in memory
ROOM_BYTES = 30_000_000


def told(curator: CuratorProcess, folder: Path) -> str:
    with curator.client() as client:
        answer = client.post("/v1/runlogs", params={"name": "week"}, content=LOG)
        assert answer.status_code == 503, answer.text
        message: str = answer.json()["error"]["message"]
    assert f"no room to take the upload in {folder / 'cache' / 'spool'}: about" in message
    assert "BURNISH_CURATOR_CACHE_DIR" in message
    assert list((folder / "cache" / "spool").iterdir()) == []
    return message


def works(curator: CuratorProcess) -> None:
    with curator.client() as client:
        assert client.post("/v1/runlogs", params={"name": "week"}, content=LOG).status_code == 200
        assert client.get("/readyz").status_code == 200


def test_a_limit_on_file_sizes_is_told(tmp_path: Path, s3: dict[str, str], s3_store: S3ObjectStore) -> None:
    """What a quota does too: a write in the middle of a file fails."""
    curator = start_curator(tmp_path, s3)
    try:
        soft, hard = resource.prlimit(curator.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(curator.process.pid, resource.RLIMIT_FSIZE, (500_000, hard))
        told(curator, tmp_path)
        assert list(s3_store.list("")) == []
        resource.prlimit(curator.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
        works(curator)
    finally:
        curator.stop()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", ROOM_BYTES) as folder:
        yield folder


def test_a_full_disk_is_told(disk: Path, s3: dict[str, str], s3_store: S3ObjectStore) -> None:
    curator = start_curator(disk, s3)
    try:
        fill(disk / "filler")
        assert "MB are needed and 0 MB are free" in told(curator, disk)
        assert list(s3_store.list("")) == []
        (disk / "filler").unlink()
        works(curator)
    finally:
        curator.stop()
