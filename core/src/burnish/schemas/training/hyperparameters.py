"""The hyperparameters that every training method has, each declared once: name, type, default, bounds, unit and help.

Everything else is derived from these classes and from burnish.schemas.training.methods: the fields of a job on the wire, the options of
`burnish train`, the parameters of a sweep, the table in docs/training.md and the model card. Tests hold the proto to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from burnish.schemas.base import Frozen, VersionRef
from burnish.serving import LORA_RANKS

Quantization = Literal["none", "nf4"]
Kind = Literal["whole number", "number", "flag", "choice", "names", "adapter version"]
KINDS: dict[Any, Kind] = {int: "whole number", float: "number", bool: "flag", VersionRef: "adapter version"}
TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FUSED_MODULES = ("qkv_proj", "gate_up_proj")  # Phi has these in place of five of them
PROJECTIONS = (*TARGET_MODULES, *FUSED_MODULES)
MAXIMUM_RANK = LORA_RANKS[-1]


@dataclass(frozen=True)
class Shown:
    """Marks a field as a hyperparameter, and says what its type and bounds do not.

    unit: what a value counts. default: in words, if it depends on other values. option: of the command line, if it is not
    named like the field. decides_result: False if it only says where the run happens, so that a sweep does not search it.
    """

    unit: str = ""
    default: str | None = None
    option: str | None = None
    decides_result: bool = True


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter, as options, tables and parsers need it. default: in words; choices: of a choice alone."""

    name: str
    kind: Kind
    help: str
    default: str
    bounds: str
    unit: str
    option: str
    choices: tuple[str, ...]
    decides_result: bool

    @property
    def is_single(self) -> bool:
        """Whether its value is one number, flag or word."""
        return self.kind not in ("names", "adapter version")


def hyperparameters(model: type[BaseModel]) -> dict[str, Hyperparameter]:
    """The fields of a model that are marked with `Shown`, by name, in the order of their declaration."""
    found = {}
    for name, field in model.model_fields.items():
        shown = next((mark for mark in field.metadata if isinstance(mark, Shown)), None)
        if shown is not None:
            found[name] = _described(name, field, shown)
    return found


def _described(name: str, field: FieldInfo, shown: Shown) -> Hyperparameter:
    kind, choices = _kind(field.annotation)
    return Hyperparameter(
        name=name,
        kind=kind,
        help=field.description or "",
        default=value_text(field.default) if shown.default is None else shown.default,
        bounds=_bounds(field),
        unit=shown.unit,
        option=shown.option or name,
        choices=choices,
        decides_result=shown.decides_result,
    )


def _kind(annotation: Any) -> tuple[Kind, tuple[str, ...]]:
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation)
    if get_origin(annotation) is tuple:
        return "names", ()
    if isinstance(annotation, UnionType):
        annotation = next(member for member in get_args(annotation) if member is not NoneType)
    return KINDS[annotation], ()


def value_text(value: Any) -> str:
    """A value as a person writes it, and no less exact."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}".replace("e-0", "e-")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bounds(field: FieldInfo) -> str:
    """`1 to 512`, `above 0, up to 1`, `0 to below 1`, `at least 1`."""
    low = high = ""
    for mark in field.metadata:
        if isinstance(mark, annotated_types.Ge):
            low = value_text(mark.ge)
        elif isinstance(mark, annotated_types.Gt):
            low = f"above {value_text(mark.gt)}"
        elif isinstance(mark, annotated_types.Le):
            high = value_text(mark.le)
        elif isinstance(mark, annotated_types.Lt):
            high = f"below {value_text(mark.lt)}"
    if low and high:
        return f"{low}, up to {high}" if low.startswith("above") else f"{low} to {high}"
    return low if low.startswith("above") else f"at least {low}" if low else ""


class LoraSpec(Frozen):
    """The shape of the adapter."""

    rank: Annotated[int, Shown()] = Field(
        default=32, ge=1, le=MAXIMUM_RANK, description="Rank of the two matrices that are added to each module"
    )
    alpha: Annotated[int, Shown(default="the rank")] = Field(
        ge=1, le=8 * MAXIMUM_RANK, description="The adapter is scaled by alpha / rank"
    )
    dropout: Annotated[float, Shown()] = Field(
        default=0.0, ge=0, lt=1, description="Share of the adapter's inputs that are dropped in training"
    )
    target_modules: Annotated[tuple[str, ...], Shown(default="all projections of the base", option="target_module")] = (
        Field(default=TARGET_MODULES, description="Modules to adapt")
    )
    use_rslora: Annotated[bool, Shown(option="rslora")] = Field(
        default=False, description="Scale by alpha / sqrt(rank) instead of alpha / rank; for high ranks"
    )
    use_dora: Annotated[bool, Shown(option="dora")] = Field(
        default=False,
        description="Weight-decomposed LoRA. vLLM does not serve it, so it needs --accept adapter-not-servable",
    )

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
        unknown = sorted(set(modules) - set(PROJECTIONS))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: LoRA is trained and served on {', '.join(PROJECTIONS)} only")
        if not modules:
            raise ValueError("name at least one module")
        return tuple(module for module in PROJECTIONS if module in modules)


class OptimizerSpec(Frozen):
    """AdamW, linear decay to zero after the warm-up, gradients clipped at norm 1."""

    learning_rate: Annotated[float, Shown(default="the method's")] = Field(
        gt=0, le=1, description="Learning rate after the warm-up"
    )
    max_steps: Annotated[int, Shown(unit="optimizer steps", default="from epochs")] = Field(
        default=0, ge=0, le=1_000_000, description="Optimizer steps; 0: as many as the epochs take"
    )
    epochs: Annotated[float, Shown(unit="passes")] = Field(
        default=3.0, gt=0, le=1000, description="Passes over the training rows"
    )
    batch_size: Annotated[int, Shown(unit="rows")] = Field(
        default=8, ge=1, le=4096, description="Rows that a device takes at a time"
    )
    gradient_accumulation_steps: Annotated[int, Shown(unit="device steps")] = Field(
        default=1, ge=1, le=4096, description="Device steps in an optimizer step"
    )
    warmup_share: Annotated[float, Shown()] = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises"
    )
    max_length: Annotated[int, Shown(unit="tokens")] = Field(
        default=2048, ge=1, le=1_048_576, description="Length of a row; longer ones are refused before training"
    )
    evaluation_interval_steps: Annotated[int, Shown(unit="optimizer steps", default="a fifth of the steps")] = Field(
        ge=1, description="Steps between evaluations and checkpoints"
    )
    early_stopping_patience: Annotated[int, Shown(unit="evaluations")] = Field(
        default=3, ge=0, description="Evaluations without improvement before the run stops; 0: never"
    )

    @property
    def rows_per_step(self) -> int:
        return self.batch_size * self.gradient_accumulation_steps


def total_steps(rows: int, epochs: float, max_steps: int, rows_per_step: int) -> int:
    """Optimizer steps of a run: max_steps if it is set, else enough whole steps to see every row `epochs` times."""
    return max_steps or max(1, -(-round(rows * epochs) // rows_per_step))
