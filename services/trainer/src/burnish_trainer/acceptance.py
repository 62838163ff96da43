"""What a job must satisfy before it is queued, and the defaults that depend on more than one field.

Called by servicer.py in a thread, since it asks the object store. No torch, no protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from burnish.errors import IncompatibleAdapterError, InvalidInputError, NotFoundError, PreconditionError
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import BaseModelRef
from burnish.schemas.dataset import DatasetManifest
from burnish_trainer import adapters, methods
from burnish_trainer.rows import read_manifest
from burnish_trainer.spec import JobSpec, OptimizerSpec, VersionRef, total_steps

Model = TypeVar("Model", bound=BaseModel)

EVALUATIONS_A_RUN = 5
NVIDIA_DEVICE = Path("/dev/nvidiactl")


class Acceptance:
    """Turns the fields a caller set into a whole JobSpec, or raises the error that says what is wrong with them."""

    def __init__(self, store: ObjectStore, base_model: BaseModelRef, device: str) -> None:
        self._store = store
        self._base_model = base_model
        self._device = device

    def accept(self, fields: Mapping[str, Any]) -> JobSpec:
        """fields: the set fields of a JobSpec, nested as it is.

        Raises InvalidInputError (a field is wrong or missing), NotFoundError (no such dataset or adapter),
        PreconditionError, IncompatibleAdapterError (this trainer cannot do it), CorruptDataError (a stored manifest is broken).
        """
        method = methods.named(str(fields["method"]))
        params = _validated(method.Params, fields.get("params", {}), prefix=f"{fields['method']}.")
        dataset = self._dataset(
            _validated(VersionRef, fields.get("dataset", {}), prefix="dataset."), str(fields["method"])
        )
        lora = dict(fields.get("lora", {}))
        initial = getattr(params, "initial_adapter", None)
        if initial is not None:
            lora = _continued(lora, self._adapter(initial))
        optimizer = _with_defaults(dict(fields.get("optimizer", {})), method.LEARNING_RATE, dataset.counts.train)
        whole = {**fields, "params": params.model_dump(mode="json"), "lora": lora, "optimizer": optimizer}
        spec = _validated(JobSpec, whole)
        self._check_backend(spec)
        return spec

    def _dataset(self, ref: VersionRef, method: str) -> DatasetManifest:
        try:
            manifest = read_manifest(self._store, ref)
        except NotFoundError as error:
            raise NotFoundError(
                f"dataset {ref.name}/{ref.version} does not exist: `burnish dataset ls` lists them", field="dataset"
            ) from error
        if manifest.spec.format != method:
            raise InvalidInputError(
                f"dataset {ref.name}/{ref.version} holds {manifest.spec.format} rows and the method is {method}: "
                f"build it with format {method}, or train {manifest.spec.format}",
                field="dataset",
            )
        if manifest.counts.train == 0:
            raise InvalidInputError(f"dataset {ref.name}/{ref.version} has no training rows", field="dataset")
        return manifest

    def _adapter(self, ref: VersionRef) -> AdapterManifest:
        try:
            manifest = adapters.read_manifest(self._store, ref)
        except NotFoundError as error:
            raise NotFoundError(
                f"adapter {ref.name}/{ref.version} does not exist: `burnish adapters ls` lists them",
                field="dpo.initial_adapter",
            ) from error
        if manifest.base_model.digest != self._base_model.digest:
            raise IncompatibleAdapterError(
                f"adapter {ref.name}/{ref.version} was trained on {manifest.base_model.name} ({manifest.base_model.digest}) "
                f"and this trainer holds {self._base_model.name} ({self._base_model.digest})",
                field="dpo.initial_adapter",
            )
        return manifest

    def _check_backend(self, spec: JobSpec) -> None:
        if spec.backend == "unsloth" and (self._device == "cpu" or not NVIDIA_DEVICE.exists()):
            raise PreconditionError(
                "backend unsloth needs an NVIDIA GPU and this trainer has none: leave the backend unset, or ask for peft",
                field="backend",
            )


def _validated(model: type[Model], fields: Mapping[str, Any], prefix: str = "") -> Model:
    """The model over the fields; InvalidInputError names the first wrong field."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = prefix + ".".join(str(part) for part in first["loc"])
        raise InvalidInputError(f"{field.rstrip('.')}: {first['msg']} (got {first['input']!r})", field=field) from error


def _continued(lora: Mapping[str, Any], adapter: AdapterManifest) -> dict[str, Any]:
    """An adapter that is continued keeps its shape; asking for another one is a mistake, not a wish to grant."""
    shape = {"rank": adapter.rank, "alpha": adapter.alpha, "target_modules": sorted(adapter.target_modules)}
    for field, value in shape.items():
        asked = sorted(lora[field]) if field == "target_modules" and field in lora else lora.get(field, value)
        if asked != value:
            raise InvalidInputError(
                f"lora.{field}: {adapter.name}/{adapter.version} has {value} and the job asks for {asked}: leave it unset",
                field=f"lora.{field}",
            )
    return {**lora, **shape}


def _with_defaults(optimizer: dict[str, Any], learning_rate: float, rows: int) -> dict[str, Any]:
    """The method's learning rate, and an evaluation every fifth of the run."""
    optimizer.setdefault("learning_rate", learning_rate)
    if "evaluation_interval_steps" not in optimizer:
        sketch = _validated(OptimizerSpec, {**optimizer, "evaluation_interval_steps": 1}, prefix="optimizer.")
        steps = total_steps(rows, sketch.epochs, sketch.max_steps, sketch.rows_per_step)
        optimizer["evaluation_interval_steps"] = max(1, steps // EVALUATIONS_A_RUN)
    return optimizer
