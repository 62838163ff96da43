"""Checkpoints as models: listed, published as adapter versions, and kept or deleted once their job has ended.

Works on the object store alone, while the job runs and after it. Called by rpc and by the scheduler.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from burnish.errors import NotFoundError
from burnish.layout import checkpoint as checkpoint_key
from burnish.machine import disk
from burnish.objectstores.verified import fetch_verified
from burnish.ports import ObjectStore
from burnish.schemas.base import Frozen, VersionRef
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import Finding, RunEstimate
from burnish_trainer.artifacts import adapters, checkpoints
from burnish_trainer.artifacts.checkpoints import CheckpointManifest

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
    """Ascending by step; empty if the job has none (any more)."""
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


def publish_checkpoint(
    store: ObjectStore,
    job_id: str,
    step: int,
    spec: JobSpec,
    findings: Sequence[Finding],
    estimate: RunEstimate | None,
) -> VersionRef:
    """Make a checkpoint an adapter version like any other; a second call gives the same version. spec … estimate: the job's.

    Raises: NotFoundError if the job has no checkpoint of that step (any more), CorruptDataError if its files do not match
    its manifest.
    """
    try:
        manifest = checkpoints.read_manifest(store, job_id, step)
        if adapters.exists(store, manifest.adapter):
            return manifest.adapter
        description = adapters.Description(
            job_id=job_id,
            spec=spec,
            run=manifest.run,
            training=manifest.training,
            findings=list(findings),
            estimate=estimate,
            checkpoint_step=step,
        )
        entries = [entry for entry in manifest.files if entry.path in checkpoints.MODEL_FILES]
        size_bytes, temporary = sum(entry.size_bytes for entry in entries), Path(tempfile.gettempdir())
        with (
            disk.needing(size_bytes, temporary, "fetch the checkpoint", "point TMPDIR at a larger disk"),
            tempfile.TemporaryDirectory(prefix="burnish-checkpoint-") as folder,
        ):
            for entry in entries:
                fetch_verified(store, checkpoint_key(job_id, step, entry.path), entry, Path(folder) / entry.path)
            return adapters.publish_folder(store, Path(folder), description)[0]
    except NotFoundError as error:
        stored = ", ".join(str(step) for step in checkpoints.stored_steps(store, job_id)) or "none"
        raise NotFoundError(
            f"{job_id} has no checkpoint of step {step}; those kept: {stored}", job_id=job_id, step=step
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
    """The first of the lowest validation loss; None if nothing was validated."""
    judged = [
        (manifest.validation_loss, manifest.step) for manifest in manifests if manifest.validation_loss is not None
    ]
    return min(judged)[1] if judged else None
