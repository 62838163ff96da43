"""Checkpoints of a job: sealed in its folder, copied to the object store, and found again after a crash or elsewhere.

A checkpoint is complete once its manifest.json stands, written last in both places, and its files match it. What the
training library itself leaves (checkpoint-<step>/) may be torn by a kill and is never trusted without one.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from burnish.digests import file_sha256
from burnish.layout import MANIFEST
from burnish.layout import checkpoint as checkpoint_key
from burnish.ports import ObjectStore
from burnish.schemas.base import FileEntry, Manifest

log = logging.getLogger(__name__)

FOLDER = "checkpoints"
STATE = "trainer_state.json"
FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "scaler.pt",
    "rng_state.pth",
    STATE,
)


class CheckpointManifest(Manifest):
    """checkpoints/<job>/<step>/manifest.json. elapsed_seconds: training time until then, over all attempts."""

    job_id: str
    step: int
    elapsed_seconds: float


@dataclass(frozen=True)
class Checkpoint:
    folder: Path
    manifest: CheckpointManifest

    @property
    def step(self) -> int:
        return self.manifest.step

    def state(self) -> dict[str, Any]:
        """The training library's own record of the run so far."""
        state: dict[str, Any] = json.loads((self.folder / STATE).read_bytes())
        return state


class Checkpoints:
    """The checkpoints of one job, in `folder` on this machine and in the object store."""

    def __init__(self, store: ObjectStore, job_id: str, folder: Path) -> None:
        self._store = store
        self._job_id = job_id
        self.folder = folder

    def at(self, step: int) -> Path:
        """Where the training library writes the checkpoint of a step."""
        return self.folder / f"checkpoint-{step}"

    def seal(self, step: int, elapsed_seconds: float) -> Checkpoint:
        """Make what the training library has just written complete: every file on disk, then the manifest."""
        folder = self.at(step)
        entries = [_entry(folder / name) for name in FILES if (folder / name).is_file()]
        manifest = CheckpointManifest(job_id=self._job_id, step=step, elapsed_seconds=elapsed_seconds, files=entries)
        _write_synced(folder / MANIFEST, manifest.model_dump_json().encode())
        return Checkpoint(folder, manifest)

    def upload(self, checkpoint: Checkpoint) -> None:
        for entry in checkpoint.manifest.files:
            self._store.put_file(
                checkpoint_key(self._job_id, checkpoint.step, entry.path), checkpoint.folder / entry.path
            )
        self._store.put(checkpoint_key(self._job_id, checkpoint.step), (checkpoint.folder / MANIFEST).read_bytes())

    def latest(self) -> Checkpoint | None:
        """The newest complete checkpoint, from here or from the object store; the best one so far is here then too."""
        for step in sorted(self._local_steps() | self._remote_steps(), reverse=True):
            checkpoint = self.obtain(step)
            if checkpoint is None:
                continue
            best = checkpoint.state().get("best_global_step")
            if best is None or self.obtain(best) is not None:
                return checkpoint
        return None

    def obtain(self, step: int) -> Checkpoint | None:
        """The complete checkpoint of a step, fetched where it is not here; None where there is none."""
        return _complete(self.at(step)) or self._fetch(step)

    def keep_only(self, steps: Collection[int]) -> None:
        """Delete every other checkpoint, in both places."""
        for step in self._local_steps() - set(steps):
            shutil.rmtree(self.at(step))
        for step in self._remote_steps() - set(steps):
            _delete(self._store, self._job_id, step)

    def _fetch(self, step: int) -> Checkpoint | None:
        if step not in self._remote_steps():
            return None
        manifest = CheckpointManifest.model_validate_json(self._store.get(checkpoint_key(self._job_id, step)))
        folder = self.at(step)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for entry in manifest.files:
            self._store.get_file(checkpoint_key(self._job_id, step, entry.path), folder / entry.path)
        _write_synced(folder / MANIFEST, manifest.model_dump_json().encode())
        return _complete(folder)

    def _local_steps(self) -> set[int]:
        names = (path.name.removeprefix("checkpoint-") for path in self.folder.glob("checkpoint-*"))
        return {int(name) for name in names if name.isdigit()}

    def _remote_steps(self) -> set[int]:
        """Steps whose manifest stands in the object store."""
        manifests = (
            info.key for info in self._store.list(f"checkpoints/{self._job_id}/") if info.key.endswith(MANIFEST)
        )
        return {int(key.split("/")[-2]) for key in manifests}


def delete_all(store: ObjectStore, job_id: str) -> None:
    """Delete a job's checkpoints from the object store."""
    for step in sorted({int(info.key.split("/")[2]) for info in store.list(f"checkpoints/{job_id}/")}):
        _delete(store, job_id, step)


def _delete(store: ObjectStore, job_id: str, step: int) -> None:
    """The manifest goes first, so that what is left of a broken deletion does not count."""
    store.delete(checkpoint_key(job_id, step))
    for info in store.list(checkpoint_key(job_id, step, file="")):
        store.delete(info.key)


def _complete(folder: Path) -> Checkpoint | None:
    """The checkpoint in a folder if it is whole; a torn one is said aloud and passed over."""
    try:
        manifest = CheckpointManifest.model_validate_json((folder / MANIFEST).read_bytes())
        if all(file_sha256(folder / entry.path) == entry.sha256 for entry in manifest.files):
            checkpoint = Checkpoint(folder, manifest)
            if checkpoint.state()["global_step"] == manifest.step:
                return checkpoint
        log.warning("%s does not match its manifest: passed over", folder)
    except FileNotFoundError:
        log.info("%s has no whole checkpoint", folder)
    except (ValidationError, ValueError, KeyError) as error:
        log.warning("%s cannot be read: passed over (%s)", folder, error)
    return None


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
    return FileEntry(path=path.name, size_bytes=path.stat().st_size, sha256=file_sha256(path))


def _write_synced(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(path)
