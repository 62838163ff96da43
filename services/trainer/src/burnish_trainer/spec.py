"""What a job does, with every default filled in. Saved in the queue, given to the worker, and kept with the adapter.

No protobuf (that is servicer.py's) and no torch here. Ranges are the contract of protos/burnish/trainer/v1/trainer.proto.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from burnish.errors import InvalidInputError
from burnish.layout import check_name
from burnish.schemas.base import Frozen
from burnish.schemas.tuning import Method

Quantization = Literal["none", "nf4"]
Backend = Literal["auto", "peft", "unsloth"]

TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MAXIMUM_RANK = 512  # the highest --max-lora-rank that vLLM serves


class VersionRef(Frozen):
    """A version of a named dataset or adapter."""

    name: str
    version: str = Field(pattern=r"^[0-9a-f]{16}$")

    @field_validator("name")
    @classmethod
    def named(cls, name: str) -> str:
        try:
            return check_name(name, "name")
        except InvalidInputError as error:
            raise ValueError(error.message) from error


class LoraSpec(Frozen):
    rank: int = Field(default=32, ge=1, le=MAXIMUM_RANK)
    alpha: int = Field(ge=1, le=8 * MAXIMUM_RANK)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] = TARGET_MODULES
    use_rslora: bool = Field(default=False, description="scale by alpha / sqrt(rank) instead of alpha / rank")
    use_dora: bool = Field(default=False, description="weight-decomposed; the serving engine does not take it")

    @model_validator(mode="before")
    @classmethod
    def alpha_is_rank(cls, values: Any) -> Any:
        """Alpha defaults to the rank, so that the adapter's scale is 1 whatever the rank."""
        if isinstance(values, dict) and "alpha" not in values:
            return {**values, "alpha": values.get("rank", cls.model_fields["rank"].default)}
        return values

    @field_validator("target_modules")
    @classmethod
    def known_modules(cls, modules: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(modules) - set(TARGET_MODULES))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: LoRA is trained and served on {', '.join(TARGET_MODULES)} only")
        if not modules:
            raise ValueError("name at least one module")
        return tuple(module for module in TARGET_MODULES if module in modules)


class OptimizerSpec(Frozen):
    """AdamW, linear decay to zero after the warm-up, gradients clipped at norm 1."""

    learning_rate: float = Field(gt=0, le=1)
    max_steps: int = Field(default=0, ge=0, le=1_000_000, description="optimizer steps; 0: from epochs")
    epochs: float = Field(default=3.0, gt=0, le=1000)
    batch_size: int = Field(default=8, ge=1, le=4096, description="rows a device step")
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=4096)
    warmup_share: float = Field(default=0.1, ge=0, lt=1)
    max_length: int = Field(default=2048, ge=1, le=1_048_576, description="tokens of a whole row")
    evaluation_interval_steps: int = Field(ge=1)
    early_stopping_patience: int = Field(default=3, ge=0, description="evaluations without improvement; 0: never stop")

    @property
    def rows_per_step(self) -> int:
        return self.batch_size * self.gradient_accumulation_steps


class JobSpec(Frozen):
    """A whole job. params: the method's own, as its `Params` validated them."""

    dataset: VersionRef
    adapter_name: str
    method: Method
    params: dict[str, Any]
    lora: LoraSpec
    optimizer: OptimizerSpec
    quantization: Quantization = "none"
    backend: Backend = "auto"
    seed: int = Field(default=0, ge=0, lt=2**32)
    device_count: int = Field(default=1, ge=1, le=64, description="GPUs of one host; the batch size is per device")
    accepted_findings: tuple[str, ...] = Field(default=(), description="codes of refusals the caller answers for")

    @field_validator("adapter_name")
    @classmethod
    def named(cls, name: str) -> str:
        try:
            return check_name(name, "adapter_name")
        except InvalidInputError as error:
            raise ValueError(error.message) from error

    @model_validator(mode="after")
    def kto_has_whom_to_compare_with(self) -> JobSpec:
        """KTO estimates its divergence by other rows of the same device batch."""
        if self.method == "kto" and self.optimizer.batch_size < 2:
            raise ValueError(
                "kto needs an optimizer.batch_size of at least 2: raise it, and lower gradient_accumulation_steps"
            )
        return self


def total_steps(rows: int, epochs: float, max_steps: int, rows_per_step: int) -> int:
    """Optimizer steps of a run: max_steps where set, else enough whole steps to see every row `epochs` times."""
    return max_steps or max(1, -(-round(rows * epochs) // rows_per_step))
