"""The training methods, each declared once: its own hyperparameters, and what it needs.

A new method is a declaration here, a file in the trainer's worker/methods/ and a message in the proto. Nothing else names them
one by one. Importing this is light; the trainer's worker has the code that trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from burnish.errors import InvalidInputError
from burnish.schemas.base import Frozen, VersionRef
from burnish.schemas.dataset import DatasetFormat
from burnish.schemas.training.hyperparameters import Shown

Method = Literal["sft", "dpo", "kto", "orpo", "simpo"]

Beta = Annotated[float, Shown(), Field(gt=0, le=100)]
Weight = Annotated[float, Shown(), Field(gt=0, le=100)]
InitialAdapter = Annotated[
    VersionRef | None,
    Shown(default="the base model"),
    Field(description="SFT adapter to go on from; it is then the reference too"),
]


class SftParams(Frozen):
    """SFT has no hyperparameters of its own."""


class DpoParams(Frozen):
    beta: Beta = Field(default=0.1, description="Strength of the pull to the reference")
    initial_adapter: InitialAdapter = None


class KtoParams(Frozen):
    beta: Beta = Field(default=0.1, description="Strength of the pull to the reference")
    desirable_weight: Weight = Field(default=1.0, description="Weight of the loss of rows marked good")
    undesirable_weight: Weight = Field(default=1.0, description="Weight of the loss of rows marked bad")
    initial_adapter: InitialAdapter = None


class OrpoParams(Frozen):
    beta: Beta = Field(default=0.1, description="Weight of the odds-ratio term")


class SimpoParams(Frozen):
    beta: Beta = Field(default=2.0, description="Scale of the rewards")
    gamma: Annotated[float, Shown()] = Field(
        default=1.0, ge=0, le=100, description="Margin that the rewards aim at, on their scale"
    )


@dataclass(frozen=True)
class MethodDeclaration:
    """What a method is and needs.

    source: of the paper. summary: what it does with the rows. metric: what its validation loss measures. format: of the
    dataset that it trains on. uses_reference: its loss holds the policy against a reference model, the base or the adapter
    that is continued. learning_rate: the default. highest_learning_rate: above it preflight warns. least_batch_size: rows
    that its loss needs on a device.
    """

    title: str
    abbreviation: str
    summary: str
    metric: str
    params: type[Frozen]
    format: DatasetFormat
    learning_rate: float
    highest_learning_rate: float = 2e-4
    uses_reference: bool = False
    least_batch_size: int = 1
    source: str | None = None

    @property
    def has_pairs(self) -> bool:
        """Whether a row is two sequences: an answer to prefer and one to avoid."""
        return self.format == "dpo"


METHODS: Mapping[Method, MethodDeclaration] = {
    "sft": MethodDeclaration(
        title="supervised fine-tuning",
        abbreviation="SFT",
        summary="learn the corrected answers",
        metric="validation loss: mean negative log-likelihood a trained token",
        params=SftParams,
        format="sft",
        learning_rate=5e-4,  # measured: docs/training.md, Learning rate
        highest_learning_rate=1e-3,
    ),
    "dpo": MethodDeclaration(
        title="direct preference optimization",
        abbreviation="DPO",
        source="arXiv 2305.18290",
        summary="prefer the correction to the model's own wrong answer",
        metric="validation loss of DPO: mean −log σ(β × margin) a pair",
        params=DpoParams,
        format="dpo",
        learning_rate=5e-5,
        uses_reference=True,
    ),
    "kto": MethodDeclaration(
        title="Kahneman-Tversky optimization",
        abbreviation="KTO",
        source="arXiv 2402.01306",
        summary="learn from single answers marked good or bad",
        metric="validation loss of KTO: mean weighted 1 − value an answer",
        params=KtoParams,
        format="kto",
        learning_rate=5e-5,
        uses_reference=True,
        least_batch_size=2,  # the divergence is estimated by other rows of the same device batch
    ),
    "orpo": MethodDeclaration(
        title="odds-ratio preference optimization",
        abbreviation="ORPO",
        source="arXiv 2403.07691",
        summary="learn and prefer the correction in one pass, without a reference",
        metric="validation loss of ORPO: negative log-likelihood plus weighted odds ratio, a pair",
        params=OrpoParams,
        format="dpo",
        learning_rate=1e-4,
    ),
    "simpo": MethodDeclaration(
        title="simple preference optimization",
        abbreviation="SimPO",
        source="arXiv 2405.14734",
        summary="prefer the correction by a margin, without a reference",
        metric="validation loss of SimPO: mean −log σ(β × length-normalised margin − γ) a pair",
        params=SimpoParams,
        format="dpo",
        learning_rate=2e-5,
    ),
}


def method_named(name: str) -> Method:
    """InvalidInputError if no method is called so."""
    for method in METHODS:
        if method == name:
            return method
    raise InvalidInputError(f"method: {name!r} is not one of {', '.join(METHODS)}", field="method")
