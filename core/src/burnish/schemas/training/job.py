"""What a tuning job does, with every default filled in. Saved in the queue, given to the worker, and kept with the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from burnish.errors import InvalidInputError, PreconditionError
from burnish.layout import check_name
from burnish.schemas.base import BaseModelRef, Frozen, VersionRef
from burnish.schemas.training.hosted import HostedSpec
from burnish.schemas.training.hyperparameters import (
    Hyperparameter,
    LoraSpec,
    OptimizerSpec,
    Quantization,
    Shown,
    hyperparameters,
    value_text,
)
from burnish.schemas.training.methods import METHODS, Method

Backend = Literal["auto", "peft", "unsloth"]
Part = Literal["params", "lora", "optimizer", "run"]


class JobSpec(Frozen):
    """A whole job. params: the method's own, as its declaration's `params` validated them."""

    dataset: VersionRef
    adapter_name: str
    method: Method
    params: dict[str, Any]
    lora: LoraSpec
    optimizer: OptimizerSpec
    quantization: Annotated[Quantization, Shown()] = Field(
        default="none", description="Of the base while training; nf4 is QLoRA, with a quarter of the base's memory"
    )
    backend: Annotated[Backend, Shown(decides_result=False)] = Field(
        default="auto", description="auto: unsloth if there is CUDA and the package, else peft"
    )
    seed: Annotated[int, Shown()] = Field(
        default=0, ge=0, lt=2**32, description="Of everything that is random in training"
    )
    device_count: Annotated[int, Shown(unit="GPUs", option="devices", decides_result=False)] = Field(
        default=1, ge=1, le=64, description="GPUs of one host; the batch size is per GPU"
    )
    retry_smaller: Annotated[bool, Shown(decides_result=False)] = Field(
        default=False,
        description="Out of memory: train once more, from the start, with a smaller batch (and more accumulation) or 4 bits",
    )
    accepted_findings: tuple[str, ...] = Field(default=(), description="codes of refusals the caller answers for")
    base_model: BaseModelRef | None = Field(
        default=None,
        description="what it trains on, filled in when it is queued; None: queued by a version that did not, or hosted",
    )
    hosted: HostedSpec | None = Field(
        default=None, description="the provider that trains it; None: this trainer itself"
    )

    @field_validator("adapter_name")
    @classmethod
    def named(cls, name: str) -> str:
        try:
            return check_name(name, "adapter_name")
        except InvalidInputError as error:
            raise ValueError(error.message) from error

    def require_base(self, held: BaseModelRef) -> None:
        """PreconditionError if it was queued for another base model than `held`."""
        wanted = self.base_model
        if wanted is not None and wanted.digest != held.digest:
            raise PreconditionError(
                f"the job is for base model {wanted.name} ({wanted.digest}) and this trainer holds {held.name} ({held.digest}): queue it "
                f"again for this one, or on a stack that runs on the other (`burnish up --model {wanted.name}`)",
                field="base_model",
            )

    @model_validator(mode="after")
    def batch_is_large_enough(self) -> JobSpec:
        least = METHODS[self.method].least_batch_size
        if self.optimizer.batch_size < least:
            raise ValueError(
                f"{self.method} needs an optimizer.batch_size of at least {least}: raise it, and lower "
                "gradient_accumulation_steps"
            )
        return self


def hyperparameters_of(method: Method) -> Mapping[Part, Mapping[str, Hyperparameter]]:
    """Every hyperparameter of a method by the part of the spec that has it (`run`: the spec itself), then by name."""
    declared = METHODS[method]
    optimizer = hyperparameters(OptimizerSpec)
    rate = replace(optimizer["learning_rate"], default=value_text(declared.learning_rate))
    return {
        "params": hyperparameters(declared.params),
        "lora": hyperparameters(LoraSpec),
        "optimizer": optimizer | {"learning_rate": rate},
        "run": hyperparameters(JobSpec),
    }
