"""The spec of a tuning job from hyperparameters by name. Used by `burnish train`, sweeps, comparisons and the demo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from burnish.errors import InvalidInputError
from burnish.schemas.training.hosted import HostedSpec
from burnish.schemas.training.hyperparameters import Hyperparameter
from burnish.schemas.training.job import hyperparameters_of
from burnish.schemas.training.methods import METHODS, Method, method_named
from burnish_protos.trainer.v1.trainer_pb2 import TuningSpec

HyperparameterValue = bool | int | float | str | Sequence[str] | None


def tuning_spec(
    method: Method,
    *,
    dataset_name: str,
    dataset_version: str,
    adapter_name: str,
    accepted_findings: Sequence[str] = (),
    base_model: str | None = None,
    hosted: HostedSpec | None = None,
    **values: HyperparameterValue,
) -> TuningSpec:
    """A spec of a job. values: the hyperparameters by name, as burnish.schemas declares them; None leaves the default to the trainer.

    base_model: name of the base that the trainer must hold; None: whichever it holds. hosted: the provider that trains it; None:
    the trainer itself. An initial_adapter is (name, version). Raises InvalidInputError for an unknown method and for a hyperparameter that the
    method does not have. The trainer checks types and bounds.
    """
    method = method_named(method)
    parts: dict[str, dict[str, Any]] = {"lora": {}, "optimizer": {}, "params": {}, "run": {}}
    declared = {name: (part, one) for part, group in hyperparameters_of(method).items() for name, one in group.items()}
    for name, value in values.items():
        if value is None:
            continue
        if name not in declared:
            raise _not_declared(name, method)
        part, one = declared[name]
        parts[part][name] = _on_the_wire(one, value)
    fields: dict[str, Any] = {
        "dataset": {"name": dataset_name, "version": dataset_version},
        "adapter_name": adapter_name,
        "lora": parts["lora"],
        "optimizer": parts["optimizer"],
        "accepted_findings": accepted_findings,
        method: parts["params"],
    }
    if base_model is not None:
        fields["base_model"] = {"name": base_model}
    if hosted is not None:
        fields["hosted"] = hosted.model_dump()
    return TuningSpec(**fields, **parts["run"])


def _not_declared(name: str, method: Method) -> InvalidInputError:
    owners = [other for other, declared in METHODS.items() if name in declared.params.model_fields]
    if not owners:
        return InvalidInputError(f"{name} is no hyperparameter of {method}", field=name)
    return InvalidInputError(
        f"{name} belongs to {', '.join(owners)}, not to {method}: leave it out, or choose another method", field=name
    )


def _on_the_wire(declared: Hyperparameter, value: Any) -> Any:
    """A value as the spec's message takes it. A choice that the proto has no value for (backend auto) stays unspecified."""
    if declared.kind == "adapter version":
        return {"name": value[0], "version": value[1]}
    if declared.kind != "choice":
        return value
    if value not in declared.choices:
        raise InvalidInputError(
            f"{declared.name}: {value!r} is not one of {', '.join(declared.choices)}", field=declared.name
        )
    numbers = TuningSpec.DESCRIPTOR.fields_by_name[declared.name].enum_type.values_by_name
    named = numbers.get(f"{declared.name}_{value}".upper())
    return named.number if named else 0
