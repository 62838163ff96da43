"""What a job must satisfy before it is queued, and the defaults that depend on more than one field.

Called by servicer.py in a thread, since it reads the object store. No torch, no protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator

from burnish.errors import IncompatibleAdapterError, InvalidInputError, NotFoundError, PreconditionError
from burnish.layout import check_name
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import BaseModelRef, Frozen, VersionRef
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.hyperparameters import OptimizerSpec, total_steps
from burnish.schemas.job import JobSpec
from burnish.schemas.methods import METHODS, Method, method_named
from burnish_trainer.artifacts import adapters
from burnish_trainer.data.rows import read_manifest
from burnish_trainer.preflight.registry import RULES

Model = TypeVar("Model", bound=BaseModel)

EVALUATIONS_A_RUN = 5
MAXIMUM_LABELS = 16
MAXIMUM_LABEL_VALUE = 128


class QueueOptions(Frozen):
    """Higher priority first, then older; labels to find the job by; after the deadline it fails."""

    priority: int = Field(default=0, ge=-100, le=100)
    labels: dict[str, str] = Field(default={}, max_length=MAXIMUM_LABELS)
    deadline: datetime | None = None

    @field_validator("labels")
    @classmethod
    def named(cls, labels: dict[str, str]) -> dict[str, str]:
        for name, value in labels.items():
            try:
                check_name(name, "label")
            except InvalidInputError as error:
                raise ValueError(error.message) from error
            if len(value) > MAXIMUM_LABEL_VALUE:
                raise ValueError(f"the value of {name!r} has more than {MAXIMUM_LABEL_VALUE} characters")
        return labels

    @field_validator("deadline")
    @classmethod
    def future(cls, deadline: datetime | None) -> datetime | None:
        if deadline is not None and deadline <= datetime.now(UTC):
            raise ValueError("it has passed already: set it in the future, or leave it unset")
        return deadline


class Admission:
    """Turns the fields that a caller set into a whole JobSpec, or raises the error that says what is wrong with them.

    devices: what the trainer has. workers: jobs on each at one time.
    """

    def __init__(self, store: ObjectStore, base_model: BaseModelRef, devices: Sequence[str], workers: int = 1) -> None:
        self._store = store
        self._base_model = base_model
        self._has_gpu = "cpu" not in devices
        self._most_devices = (
            len(devices) if self._has_gpu else workers
        )  # as scheduler.devices.DevicePool gives them out

    def admit(self, fields: Mapping[str, Any]) -> JobSpec:
        """fields: the set fields of a JobSpec, nested as it is.

        Raises InvalidInputError (a field is wrong or missing), NotFoundError (no such dataset or adapter),
        PreconditionError, IncompatibleAdapterError (this trainer cannot do it), CorruptDataError (a stored manifest is broken).
        """
        name = method_named(fields["method"])
        method = METHODS[name]
        params = _validated(method.params, fields.get("params", {}), prefix=f"{name}.")
        dataset = self._dataset(_validated(VersionRef, fields.get("dataset", {}), prefix="dataset."), name)
        lora = dict(fields.get("lora", {}))
        initial = getattr(params, "initial_adapter", None)
        if initial is not None:
            lora = _continued(lora, self._adapter(initial, field=f"{name}.initial_adapter"))
        devices = max(1, int(fields.get("device_count", 1)))  # out of range: refused with the whole spec, below
        rows = dataset.counts.train
        optimizer = _with_defaults(dict(fields.get("optimizer", {})), method.learning_rate, rows, devices)
        whole = {**fields, "params": params.model_dump(mode="json"), "lora": lora, "optimizer": optimizer}
        spec = _validated(JobSpec, whole)
        self._check_devices(spec)
        _check_accepted(spec.accepted_findings)
        return spec

    def _dataset(self, ref: VersionRef, method: Method) -> DatasetManifest:
        try:
            manifest = read_manifest(self._store, ref)
        except NotFoundError as error:
            raise NotFoundError(
                f"dataset {ref.name}/{ref.version} does not exist: `burnish dataset ls` lists them", field="dataset"
            ) from error
        held, wanted = manifest.spec.format, METHODS[method].format
        if held != wanted:
            fitting = [name for name, declared in METHODS.items() if declared.format == held]
            raise InvalidInputError(
                f"dataset {ref.name}/{ref.version} holds {held} rows and {method} learns from {wanted} rows: "
                f"build it with `--format {wanted}`, or train {' or '.join(fitting)}",
                field="dataset",
            )
        if manifest.counts.train == 0:
            raise InvalidInputError(f"dataset {ref.name}/{ref.version} has no training rows", field="dataset")
        return manifest

    def _adapter(self, ref: VersionRef, field: str) -> AdapterManifest:
        try:
            manifest = adapters.read_manifest(self._store, ref)
        except NotFoundError as error:
            raise NotFoundError(
                f"adapter {ref.name}/{ref.version} does not exist: `burnish adapters ls` lists them",
                field=field,
            ) from error
        if manifest.base_model.digest != self._base_model.digest:
            raise IncompatibleAdapterError(
                f"adapter {ref.name}/{ref.version} was trained on {manifest.base_model.name} ({manifest.base_model.digest}) "
                f"and this trainer holds {self._base_model.name} ({self._base_model.digest})",
                field=field,
            )
        return manifest

    def _check_devices(self, spec: JobSpec) -> None:
        if spec.backend == "unsloth" and not self._has_gpu:
            raise PreconditionError(
                "backend unsloth needs an NVIDIA GPU and this trainer has none: leave the backend unset, or ask for peft",
                field="backend",
            )
        if spec.device_count > self._most_devices:
            raise PreconditionError(
                f"device_count: {spec.device_count} are asked for and this trainer can give a job {self._most_devices}: "
                "ask for fewer",
                field="device_count",
            )


def queue_options(priority: int, labels: Mapping[str, str], deadline: datetime | None) -> QueueOptions:
    """InvalidInputError names the field that is out of its range."""
    return _validated(QueueOptions, {"priority": priority, "labels": dict(labels), "deadline": deadline})


def _check_accepted(codes: Sequence[str]) -> None:
    """InvalidInputError for a code that does not exist or cannot be accepted: it would have no effect."""
    for code in codes:
        if code not in RULES:
            raise InvalidInputError(
                f"accepted_findings: {code!r} is not a code of preflight; docs/preflight.md lists them",
                field="accepted_findings",
            )
        if not RULES[code].acceptable:
            raise InvalidInputError(
                f"accepted_findings: {code} cannot be accepted; docs/preflight.md says which can",
                field="accepted_findings",
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
    """LoRA fields with the shape of the adapter that is continued. InvalidInputError if the job asks for another shape."""
    shape = {
        "rank": adapter.rank,
        "alpha": adapter.alpha,
        "target_modules": sorted(adapter.target_modules),
        "use_rslora": adapter.use_rslora,
        "use_dora": adapter.use_dora,
    }
    for field, value in shape.items():
        asked = sorted(lora[field]) if field == "target_modules" and field in lora else lora.get(field, value)
        if asked != value:
            raise InvalidInputError(
                f"lora.{field}: {adapter.name}/{adapter.version} has {value} and the job asks for {asked}: leave it unset",
                field=f"lora.{field}",
            )
    return {**lora, **shape}


def _with_defaults(optimizer: dict[str, Any], learning_rate: float, rows: int, devices: int) -> dict[str, Any]:
    """The method's learning rate, and an evaluation every fifth of the run, in which each device takes one batch per step."""
    optimizer.setdefault("learning_rate", learning_rate)
    if "evaluation_interval_steps" not in optimizer:
        sketch = _validated(OptimizerSpec, {**optimizer, "evaluation_interval_steps": 1}, prefix="optimizer.")
        steps = total_steps(rows, sketch.epochs, sketch.max_steps, sketch.rows_per_step * devices)
        optimizer["evaluation_interval_steps"] = max(1, steps // EVALUATIONS_A_RUN)
    return optimizer
