"""What a job must satisfy before it is queued, and the defaults that depend on more than one field.

Called by servicer.py in a thread, since it reads the object store. No torch, no protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, field_validator

from burnish.errors import ErasedError, IncompatibleAdapterError, InvalidInputError, NotFoundError, PreconditionError
from burnish.layout import check_name
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import BaseModelRef, Frozen, VersionRef
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.training.hosted import PROVIDERS
from burnish.schemas.training.hyperparameters import TARGET_MODULES, OptimizerSpec, total_steps
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.methods import METHODS, Method, method_named
from burnish_trainer.artifacts import adapters
from burnish_trainer.data.rows import read_manifest
from burnish_trainer.executors.access import ProviderAccess
from burnish_trainer.preflight.registry import RULES
from burnish_trainer.rpc.violations import refusal, violations_of

EVALUATIONS_A_RUN = 5
MAXIMUM_LABELS = 16
MAXIMUM_LABEL_VALUE = 128
NO_PARAMETERS = frozenset({"dataset", "adapter_name", "method", "accepted_findings", "hosted"})
MOST_ROWS_A_STEP = 65_536
MOST_ROWS_A_RUN = 10_000_000  # repetitions included: weeks on a large GPU


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

    devices: what the trainer has. workers: jobs on each at one time. projections: the base's modules that an adapter changes
    unless a job names others. access: to providers.
    """

    def __init__(
        self,
        store: ObjectStore,
        base_model: BaseModelRef,
        devices: Sequence[str],
        workers: int = 1,
        projections: Sequence[str] = TARGET_MODULES,
        access: ProviderAccess | None = None,
    ) -> None:
        self._access = access or ProviderAccess({})
        self._store = store
        self._base_model = base_model
        self._projections = tuple(projections)
        self._has_gpu = "cpu" not in devices
        self._most_devices = (
            len(devices) if self._has_gpu else workers
        )  # as scheduler.devices.DevicePool gives them out

    def admit(self, fields: Mapping[str, Any]) -> JobSpec:
        """fields: the set fields of a JobSpec, nested as it is.

        Raises InvalidInputError (fields are wrong or missing: all of them are named), NotFoundError (no such dataset or adapter),
        PreconditionError, IncompatibleAdapterError (this trainer cannot do it), CorruptDataError (a stored manifest is broken).
        """
        if "hosted" not in fields:
            fields = {**fields, "base_model": self._base(fields.get("base_model", {}))}
        check_fields(fields)
        name = method_named(fields["method"])
        method = METHODS[name]
        params = method.params.model_validate(fields.get("params", {}))
        dataset = self._dataset(VersionRef.model_validate(fields["dataset"]), name)
        lora = dict(fields.get("lora", {}))
        lora.setdefault("target_modules", self._projections)
        if "hosted" in fields:
            self._access.of(fields["hosted"]["provider"])
        initial = getattr(params, "initial_adapter", None)
        if initial is not None:
            lora = _continued(dict(fields.get("lora", {})), self._adapter(initial, field=f"{name}.initial_adapter"))
        rows, devices = dataset.counts.train, fields.get("device_count", 1)
        optimizer = _with_defaults(dict(fields.get("optimizer", {})), method.learning_rate, rows, devices)
        whole = {**fields, "params": params.model_dump(mode="json"), "lora": lora, "optimizer": optimizer}
        spec = JobSpec.model_validate(whole)
        if spec.hosted is None:
            self._check_devices(spec)
        _check_size(spec, rows)
        return spec

    def _base(self, asked: Mapping[str, str]) -> dict[str, str]:
        """The trainer's base model. PreconditionError if the job asks for another."""
        held = self._base_model
        if asked.get("name", held.name) != held.name or asked.get("digest", held.digest) != held.digest:
            wanted = " ".join(asked.values())
            raise PreconditionError(
                f"base_model: the job is for {wanted} and this trainer holds {held.name} ({held.digest}): leave it unset, or start the "
                "stack on the other (`burnish down`, `burnish up --model NAME`)",
                field="base_model",
            )
        return held.model_dump()

    def _dataset(self, ref: VersionRef, method: Method) -> DatasetManifest:
        try:
            manifest = read_manifest(self._store, ref)
        except ErasedError:
            raise
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
                f"device_count: {spec.device_count} are wanted and this trainer can give a job {self._most_devices}: set fewer",
                field="device_count",
            )


def queue_options(priority: int, labels: Mapping[str, str], deadline: datetime | None) -> QueueOptions:
    """InvalidInputError names every field that is out of its range."""
    fields = {"priority": priority, "labels": dict(labels), "deadline": deadline}
    if found := violations_of(QueueOptions, fields):
        raise refusal(*found)
    return QueueOptions.model_validate(fields)


def check_fields(fields: Mapping[str, Any]) -> None:
    """InvalidInputError names every field of a spec that is wrong or missing, as far as that can be told from the spec alone."""
    method = next((name for name in METHODS if name == fields.get("method")), None)
    found: list[tuple[str, str]] = []
    if method is None:
        found.append(("method", f"set one of {', '.join(METHODS)}"))
    else:
        found += violations_of(METHODS[method].params, fields.get("params", {}), f"{method}.")
    defaults = {"learning_rate": 1.0, "evaluation_interval_steps": 1}  # they depend on the method and on the rows
    needed: dict[str, Any] = {"dataset": {}, "adapter_name": "", "lora": {}}
    known = {"method": method or "sft", "params": {}, "optimizer": defaults | fields.get("optimizer", {})}
    if "hosted" not in fields:
        known["base_model"] = None  # `Admission` compares what is set of it with the trainer's, and fills in the rest
    found += violations_of(JobSpec, {**needed, **fields, **known})
    if method is not None:
        found += unsupported(fields, method)
    for code in fields.get("accepted_findings", ()):
        if code not in RULES:
            found.append(("accepted_findings", f"{code!r} is no code of preflight; docs/preflight.md lists them"))
        elif not RULES[code].acceptable:
            found.append(("accepted_findings", f"{code} cannot be accepted; docs/preflight.md says which can"))
    if found:
        raise refusal(*found)


def unsupported(fields: Mapping[str, Any], method: Method) -> Iterator[tuple[str, str]]:
    """What a hosted job asks for and its provider cannot do: the method, and parameters that the caller set."""
    hosted = fields.get("hosted")
    provider = PROVIDERS.get(hosted.get("provider")) if hosted else None
    if hosted is None or provider is None:
        return  # a provider that does not exist is told with the other fields
    name = hosted["provider"]
    if method not in provider.methods:
        yield "method", f"{name} trains {' and '.join(provider.methods)} only, not {method}"
    for path, field in _set_paths(fields, method):
        if path not in provider.parameters:
            taken = ", ".join(sorted(provider.parameters))
            yield field, f"{name} does not take it, leave it unset; of the parameters it takes {taken}"
    epochs = fields.get("optimizer", {}).get("epochs", 1)
    if isinstance(epochs, float) and not epochs.is_integer():
        yield "optimizer.epochs", f"{name} takes whole numbers"


def _set_paths(fields: Mapping[str, Any], method: Method) -> Iterator[tuple[str, str]]:
    """(path in a JobSpec, path in the request) of every parameter that a caller set."""
    for name, value in fields.items():
        if name in ("lora", "optimizer", "params"):
            yield from ((f"{name}.{inner}", f"{method if name == 'params' else name}.{inner}") for inner in value)
        elif name not in NO_PARAMETERS:
            yield name, name


def _check_size(spec: JobSpec, rows: int) -> None:
    """InvalidInputError for a run that nobody can mean, which would hold up everyone's queue before it is found to be too long."""
    optimizer = spec.optimizer
    step_rows = optimizer.rows_per_step * spec.device_count
    if step_rows > MOST_ROWS_A_STEP:
        text = f"with batch_size and devices it makes {step_rows} rows a step, at most {MOST_ROWS_A_STEP} can be"
        raise refusal(("optimizer.gradient_accumulation_steps", text))
    run_rows = total_steps(rows, optimizer.epochs, optimizer.max_steps, step_rows) * step_rows
    if run_rows > MOST_ROWS_A_RUN:
        text = f"the run would see {run_rows} rows, repetitions included, at most {MOST_ROWS_A_RUN} can be (the dataset has {rows})"
        raise refusal(("optimizer.max_steps" if optimizer.max_steps else "optimizer.epochs", text))


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
        sketch = OptimizerSpec.model_validate({**optimizer, "evaluation_interval_steps": 1})
        steps = total_steps(rows, sketch.epochs, sketch.max_steps, sketch.rows_per_step * devices)
        optimizer["evaluation_interval_steps"] = max(1, steps // EVALUATIONS_A_RUN)
    return optimizer
