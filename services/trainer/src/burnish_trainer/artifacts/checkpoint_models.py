"""Checkpoints as models: listed, published as adapter versions, and kept or dropped once their job has ended.

Works on the object store alone, while the job runs and after it; no torch here. Called by servicer.py and engine.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from burnish.digests import file_sha256
from burnish.errors import CorruptDataError, NotFoundError
from burnish.layout import checkpoint as checkpoint_key
from burnish.ports import ObjectStore
from burnish.schemas.base import Frozen, VersionRef
from burnish_trainer.artifacts import adapters, checkpoints
from burnish_trainer.artifacts.checkpoints import CheckpointManifest
from burnish_trainer.queue.jobs import Job

Keep = Literal["all", "best", "none"]


class CheckpointInfo(Frozen):
    """A saved state of a job's adapter. best: the lowest validation loss of those listed; adapter: set once it is a version."""

    step: int
    epoch: float
    validation_loss: float | None
    size_bytes: int
    time: datetime
    best: bool
    adapter: VersionRef | None


def list_checkpoints(store: ObjectStore, job_id: str) -> list[CheckpointInfo]:
    """Ascending by step; empty where the job has none, or none any more."""
    manifests = _manifests(store, job_id)
    best = _best_step(manifests)
    return [
        CheckpointInfo(
            step=manifest.step,
            epoch=manifest.epoch,
            validation_loss=manifest.validation_loss,
            size_bytes=sum(entry.size_bytes for entry in manifest.files),
            time=manifest.created_at,
            best=manifest.step == best,
            adapter=manifest.adapter if adapters.exists(store, manifest.adapter) else None,
        )
        for manifest in manifests
    ]


def publish_checkpoint(store: ObjectStore, job: Job, step: int) -> VersionRef:
    """Make a checkpoint an adapter version like any other. Again: the same version.

    Raises: NotFoundError where the job has no checkpoint of that step (any more), CorruptDataError where its files do not
    match its manifest.
    """
    try:
        manifest = checkpoints.read_manifest(store, job.job_id, step)
        if adapters.exists(store, manifest.adapter):
            return manifest.adapter
        with tempfile.TemporaryDirectory(prefix="burnish-checkpoint-") as folder:
            _fetch_model(store, manifest, Path(folder))
            return adapters.publish_folder(store, Path(folder), _described(job, manifest))[0]
    except NotFoundError as error:
        stored = ", ".join(str(step) for step in checkpoints.stored_steps(store, job.job_id)) or "none"
        raise NotFoundError(
            f"{job.job_id} has no checkpoint of step {step}; those kept: {stored}", job_id=job.job_id, step=step
        ) from error


def retain(store: ObjectStore, job_id: str, keep: Keep) -> None:
    """What stays of a job that has its adapter: weights of all its checkpoints, of the best (without validation: the
    last), or nothing. Safe to repeat."""
    if keep == "none":
        return checkpoints.delete_all(store, job_id)
    manifests = _manifests(store, job_id)
    best = _best_step(manifests) or max((manifest.step for manifest in manifests), default=0)
    for manifest in manifests:
        if keep == "all" or manifest.step == best:
            checkpoints.slim_down(store, job_id, manifest.step)
        else:
            checkpoints.delete(store, job_id, manifest.step)


def _manifests(store: ObjectStore, job_id: str) -> list[CheckpointManifest]:
    """Ascending by step. One that a running job deletes meanwhile is left out."""
    found = []
    for step in checkpoints.stored_steps(store, job_id):
        try:
            found.append(checkpoints.read_manifest(store, job_id, step))
        except NotFoundError:
            continue
    return found


def _best_step(manifests: Sequence[CheckpointManifest]) -> int | None:
    """The first of the lowest validation loss; None where nothing was validated."""
    judged = [
        (manifest.validation_loss, manifest.step) for manifest in manifests if manifest.validation_loss is not None
    ]
    return min(judged)[1] if judged else None


def _fetch_model(store: ObjectStore, manifest: CheckpointManifest, folder: Path) -> None:
    for entry in manifest.files:
        if entry.path in checkpoints.MODEL_FILES:
            key = checkpoint_key(manifest.job_id, manifest.step, entry.path)
            store.get_file(key, folder / entry.path)
            if file_sha256(folder / entry.path) != entry.sha256:
                raise CorruptDataError(f"{key} does not have the digest that its manifest states", key=key)


def _described(job: Job, manifest: CheckpointManifest) -> adapters.Description:
    return adapters.Description(
        job_id=job.job_id,
        spec=job.spec,
        run=manifest.run,
        training=manifest.training,
        findings=job.findings,
        estimate=job.estimate,
        checkpoint_step=manifest.step,
    )
