"""What a provider gives back becomes an adapter version like any other: fetched, checked against the base model, published.

Called by main.py. Bytes alone, no torch: the same checks as before an adapter is served (burnish.adapters).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from burnish.adapters.base import BaseModel
from burnish.adapters.checks import check_folder
from burnish.errors import BurnishError, CorruptDataError, IncompatibleAdapterError
from burnish.machine import disk
from burnish.ports import ObjectStore
from burnish.schemas.adapter import TrainingSummary
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.training.hyperparameters import MAXIMUM_RANK
from burnish.schemas.training.job import JobSpec
from burnish_trainer.artifacts import MORE_ROOM, adapters
from burnish_trainer.executors.assignment import Attempt
from burnish_trainer.executors.events import Event, Found, Metrics, Note
from burnish_trainer.hosted.provider import Provider, Unanswered
from burnish_trainer.hosted.record import Record
from burnish_trainer.preflight.registry import finding

CONFIG_BYTES = 1_000_000
TRIES = 3  # to read weights that are broken, which may be the transfer's fault


class Weights:
    """Makes the adapter of one job a version. base_model: the folder of the base model that this trainer holds."""

    def __init__(
        self, store: ObjectStore, attempt: Attempt, base_model: Path, folder: Path, say: Callable[[Event], None]
    ) -> None:
        self._store = store
        self._attempt = attempt
        self._base_model = base_model
        self._folder = folder
        self._say = say
        self._tries = 0

    def adopt(self, provider: Provider, record: Record, metrics: Sequence[Metrics]) -> VersionRef | None:
        """None, with a warning that says why, if the weights are no adapter for the base model here: they stay at the provider.

        Unanswered if they could not be read and should be fetched again. Safe to repeat: the same weights are the same version.
        """
        base = BaseModel.open(self._base_model)
        limit_bytes = base.largest_adapter_bytes(MAXIMUM_RANK) + CONFIG_BYTES
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        try:
            with disk.needing(None, self._folder, "fetch the adapter", MORE_ROOM):
                if not provider.fetch(record, self._folder, limit_bytes):
                    return None
            version, new = self._publish(base, record, metrics)
        except (CorruptDataError, IncompatibleAdapterError) as error:
            self._tries += 1
            if isinstance(error, CorruptDataError) and self._tries < TRIES:
                raise Unanswered(f"what it gives as the adapter cannot be read: {error.message}") from error
            self._say(Found(finding=finding("weights-not-usable", self._unusable(record, base, error))))
            return None
        if not new:
            self._say(
                Note(message=f"adapter {version.name}@{version.version} exists already, with the very same weights")
            )
        return version

    def _publish(self, base: BaseModel, record: Record, metrics: Sequence[Metrics]) -> tuple[VersionRef, bool]:
        attempt = self._attempt
        files = (adapters.CONFIG, adapters.WEIGHTS)
        if missing := [name for name in files if not (self._folder / name).is_file()]:
            raise CorruptDataError(f"it has no {' and no '.join(missing)}")
        spec = _as_trained(attempt.spec, self._folder / adapters.CONFIG)
        run = adapters.RunRecord(
            adapter_name=spec.adapter_name,
            base_model=BaseModelRef(name=base.record.name, digest=base.record.digest),
            backend=record.provider,
            backend_why=f"{record.provider} trained {record.request.model} as {record.remote_id}",
            base_licence=base.record.licence,
            device=record.provider,
            dtype="unknown",
            packages={},
        )
        description = adapters.Description(
            job_id=attempt.job_id,
            spec=spec,
            run=run,
            training=_summary(record, metrics),
            findings=attempt.findings,
            estimate=attempt.estimate,
        )
        version = adapters.version_of_folder(self._folder, run.base_model.name)
        check_folder(self._folder, description.manifest(version), base, MAXIMUM_RANK)
        return adapters.publish_folder(self._store, self._folder, description)

    def _unusable(self, record: Record, base: BaseModel, error: BurnishError) -> str:
        return (
            f"what {record.provider} gives back as {record.remote_id} cannot be served on {base.record.name} here: {error.message}. "
            f"It was trained on {record.request.model}, and stays at {record.provider}"
        )


def _as_trained(spec: JobSpec, config: Path) -> JobSpec:
    """The spec with the shape that the provider says its adapter has."""
    try:
        found: dict[str, Any] = json.loads(config.read_bytes())
        shape = {
            "rank": int(found["r"]),
            "alpha": _whole(found["lora_alpha"]),
            "target_modules": _modules(found["target_modules"]),
            "use_rslora": bool(found.get("use_rslora")),
            "use_dora": bool(found.get("use_dora")),
        }
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptDataError(f"its {adapters.CONFIG} is none of a LoRA ({type(error).__name__}: {error})") from error
    return spec.model_copy(update={"lora": spec.lora.model_copy(update=shape)})


def _whole(value: Any) -> int:
    if float(value) != int(value):
        raise ValueError(f"lora_alpha {value} is no whole number")
    return int(value)


def _modules(value: Any) -> tuple[str, ...]:
    """Last parts of the module names; a pattern stands for itself."""
    names = [value] if isinstance(value, str) else value
    return tuple(sorted({str(name).rpartition(".")[2] or str(name) for name in names}))


def _summary(record: Record, metrics: Sequence[Metrics]) -> TrainingSummary:
    """By the steps that the provider shows. duration_seconds: from the first call to now, its queue included."""
    trained = [one for one in metrics if one.train_loss is not None]
    validated = [one for one in metrics if one.validation_loss is not None]
    best = min(validated, key=lambda one: one.validation_loss or 0.0, default=None)
    steps = max((one.step for one in metrics), default=0)
    return TrainingSummary(
        steps=steps,
        best_step=best.step if best else steps,
        first_train_loss=trained[0].train_loss if trained else None,
        final_train_loss=trained[-1].train_loss if trained else None,
        best_validation_loss=best.validation_loss if best else None,
        trained_tokens=None,
        duration_seconds=(datetime.now(UTC) - record.time).total_seconds(),
        peak_memory_bytes=None,
        stopped_early=False,
    )
