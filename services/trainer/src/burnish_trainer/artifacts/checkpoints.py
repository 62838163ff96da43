"""Checkpoints of a job: sealed in its folder, copied to the object store, and found again after a crash or elsewhere.

A checkpoint is complete once its manifest.json exists, written last both here and in the object store, and its files match it. What the
training library itself leaves (checkpoint-<step>/) may be torn by a kill and is never trusted without one. A *slim*
checkpoint has the adapter alone: enough to serve and publish, not to resume from. As models: checkpoint_models.py.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from burnish.digests import file_sha256
from burnish.errors import CorruptDataError, validation_problems
from burnish.files import sync, write_atomically
from burnish.layout import MANIFEST
from burnish.layout import checkpoint as checkpoint_key
from burnish.machine import disk
from burnish.objectstores.verified import fetch_verified, is_intact
from burnish.ports import ObjectStore
from burnish.schemas.adapter import TrainingSummary
from burnish.schemas.base import FileEntry, Frozen, Manifest, VersionRef
from burnish_trainer.artifacts import MORE_ROOM, adapters
from burnish_trainer.artifacts.adapters import RunRecord

log = logging.getLogger(__name__)

FOLDER = "checkpoints"
STATE = "trainer_state.json"
MODEL_FILES = (adapters.CONFIG, adapters.WEIGHTS)
FILES = (*MODEL_FILES, "optimizer.pt", "scheduler.pt", "scaler.pt", STATE)
RANDOM_STATES = "rng_state*.pth"  # rng_state.pth, or one a process: rng_state_0.pth, …


class CheckpointMetrics(Frozen):
    """How far a run had come after a step. elapsed_seconds: training time until then, over all attempts."""

    step: int
    epoch: float
    validation_loss: float | None
    elapsed_seconds: float
    training: TrainingSummary


class CheckpointManifest(Manifest, CheckpointMetrics):
    """checkpoints/<job>/<step>/manifest.json. adapter: the version that it is once published; slim: the adapter alone."""

    job_id: str
    run: RunRecord
    adapter: VersionRef
    slim: bool = False


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

    def seal(self, metrics: CheckpointMetrics, run: RunRecord) -> Checkpoint:
        """Make what the training library has just written complete: every file on disk, then the manifest."""
        folder = self.at(metrics.step)
        written = [folder / name for name in FILES if (folder / name).is_file()]
        manifest = CheckpointManifest(
            **{name: getattr(metrics, name) for name in CheckpointMetrics.model_fields},
            job_id=self._job_id,
            run=run,
            adapter=VersionRef(name=run.adapter_name, version=adapters.version_of_folder(folder, run.base_model.name)),
            files=[_entry(path) for path in (*written, *sorted(folder.glob(RANDOM_STATES)))],
        )
        write_atomically(folder / MANIFEST, manifest.model_dump_json().encode())
        return Checkpoint(folder, manifest)

    def upload(self, checkpoint: Checkpoint) -> None:
        for entry in checkpoint.manifest.files:
            self._store.put_file(
                checkpoint_key(self._job_id, checkpoint.step, entry.path), checkpoint.folder / entry.path
            )
        self._store.put(checkpoint_key(self._job_id, checkpoint.step), (checkpoint.folder / MANIFEST).read_bytes())

    def latest(self) -> Checkpoint | None:
        """The newest one to resume from, from here or from the object store; the best one so far is here then too."""
        for step in sorted(self._local_steps() | self._remote_steps(), reverse=True):
            checkpoint = self.obtain(step)
            if checkpoint is None or checkpoint.manifest.slim:
                continue
            best = checkpoint.state().get("best_global_step")
            if best is None or self.obtain(best) is not None:
                return checkpoint
        return None

    def obtain(self, step: int) -> Checkpoint | None:
        """The complete checkpoint of a step, fetched if it is not here; None if there is none."""
        return _complete(self.at(step)) or self._fetch(step)

    def retain(self, steps: Collection[int]) -> None:
        """Delete every other checkpoint here, and slim it down in the object store. Safe to repeat after a kill."""
        for step in self._local_steps() - set(steps):
            shutil.rmtree(self.at(step))
        for step in self._remote_steps() - set(steps):
            slim_down(self._store, self._job_id, step)

    def drop_torn(self) -> None:
        """Delete what is here and not whole, to give its room back."""
        for step in self._local_steps():
            if not (self.at(step) / MANIFEST).is_file():
                shutil.rmtree(self.at(step), ignore_errors=True)

    def delete_all(self) -> None:
        """The job begins anew."""
        delete_all(self._store, self._job_id)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fetch(self, step: int) -> Checkpoint | None:
        if step not in self._remote_steps():
            return None
        manifest = read_manifest(self._store, self._job_id, step)
        folder = self.at(step)
        shutil.rmtree(folder, ignore_errors=True)
        needed = sum(entry.size_bytes for entry in manifest.files)
        try:
            with disk.needing(needed, self.folder, f"fetch the checkpoint of step {step}", MORE_ROOM):
                folder.mkdir(parents=True)
                for entry in manifest.files:
                    fetch_verified(
                        self._store, checkpoint_key(self._job_id, step, entry.path), entry, folder / entry.path
                    )
                write_atomically(folder / MANIFEST, manifest.model_dump_json().encode())
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return _complete(folder)

    def _local_steps(self) -> set[int]:
        names = (path.name.removeprefix("checkpoint-") for path in self.folder.glob("checkpoint-*"))
        return {int(name) for name in names if name.isdigit()}

    def _remote_steps(self) -> set[int]:
        return set(stored_steps(self._store, self._job_id))


def stored_steps(store: ObjectStore, job_id: str) -> list[int]:
    """Steps whose manifest is in the object store, ascending."""
    manifests = (info.key for info in store.list(f"checkpoints/{job_id}/") if info.key.endswith(f"/{MANIFEST}"))
    return sorted(int(key.split("/")[-2]) for key in manifests)


def read_manifest(store: ObjectStore, job_id: str, step: int) -> CheckpointManifest:
    """NotFoundError if there is no such checkpoint, CorruptDataError if its manifest cannot be read."""
    key = checkpoint_key(job_id, step)
    try:
        return CheckpointManifest.model_validate_json(store.get(key))
    except ValidationError as error:
        raise CorruptDataError(f"{key} is no checkpoint manifest: {validation_problems(error)}", key=key) from error


def slim_down(store: ObjectStore, job_id: str, step: int) -> None:
    """Drop what only a resume needs. The manifest says so first, so that a broken-off attempt leaves a whole, slim one."""
    manifest = read_manifest(store, job_id, step)
    if not manifest.slim:
        kept = [entry for entry in manifest.files if entry.path in MODEL_FILES]
        slim = manifest.model_copy(update={"files": kept, "slim": True})
        store.put(checkpoint_key(job_id, step), slim.model_dump_json().encode())
    for info in store.list(checkpoint_key(job_id, step, file="")):
        if info.key.rsplit("/", 1)[1] not in (*MODEL_FILES, MANIFEST):
            store.delete(info.key)


def delete_all(store: ObjectStore, job_id: str) -> None:
    """Delete a job's checkpoints from the object store."""
    for step in sorted({int(info.key.split("/")[2]) for info in store.list(f"checkpoints/{job_id}/")}):
        delete(store, job_id, step)


def delete(store: ObjectStore, job_id: str, step: int) -> None:
    """The manifest goes first, so that what is left of a broken deletion does not count."""
    store.delete(checkpoint_key(job_id, step))
    for info in store.list(checkpoint_key(job_id, step, file="")):
        store.delete(info.key)


def _complete(folder: Path) -> Checkpoint | None:
    """The checkpoint in a folder if it is whole. A torn one is logged and left out."""
    try:
        manifest = CheckpointManifest.model_validate_json((folder / MANIFEST).read_bytes())
        if all(is_intact(folder, entry) for entry in manifest.files):
            checkpoint = Checkpoint(folder, manifest)
            if manifest.slim or checkpoint.state()["global_step"] == manifest.step:
                return checkpoint
        log.warning("%s does not match its manifest: left out", folder)
    except FileNotFoundError:
        log.info("%s has no whole checkpoint", folder)
    except (ValidationError, ValueError, KeyError) as error:
        log.warning("%s cannot be read: left out (%s)", folder, error)
    return None


def _entry(path: Path) -> FileEntry:
    sync(path)
    return FileEntry(path=path.name, size_bytes=path.stat().st_size, sha256=file_sha256(path))
