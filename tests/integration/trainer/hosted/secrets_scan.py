"""Looks for a credential wherever a trainer might have left it."""

from __future__ import annotations

import sqlite3

from integration.trainer.trainer_process import TrainerProcess

from burnish.objectstores.s3 import S3ObjectStore


def assert_no_secret(running: TrainerProcess, token: str, store: S3ObjectStore) -> None:
    """In no row, event, log, file of the work directory, argument or object."""
    database = sqlite3.connect(running.folder / "queue.db")
    assert token not in "\n".join(database.iterdump())
    database.close()
    files = [path for path in running.folder.rglob("*") if path.is_file() and path.name != "secrets"]
    assert any(path.name == "worker.log" for path in files)
    assert [path for path in files if token.encode() in path.read_bytes()] == []
    objects = [info.key for info in store.list("")]
    assert any(key.startswith("hosted/") for key in objects)
    assert [key for key in objects if token.encode() in store.get(key)] == []
