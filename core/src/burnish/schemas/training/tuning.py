"""What is known of a training run beside its weights: findings before and during it, its estimate and its measurement."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from burnish.schemas.base import Frozen
from burnish.schemas.training.hyperparameters import Quantization

NAMED_ROWS = 20


class Finding(Frozen):
    """Something wrong (refusal: the job fails before it takes a device) or unwise (warning) about a job."""

    code: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="stable; docs/preflight.md lists them")
    severity: Literal["refusal", "warning"]
    message: str = Field(description="what, where, and what to do")
    question_ids: list[str] = Field(default=[], max_length=NAMED_ROWS, description="the first rows concerned")
    count: int = Field(default=0, ge=0, description="all rows concerned; 0: the job as a whole")


class SmallerRun(Frozen):
    """The same job changed so that it takes less memory. what: the changes, for people. peak_memory_bytes: as in RunEstimate."""

    what: str
    peak_memory_bytes: int
    quantization: Quantization
    rank: int
    batch_size: int
    gradient_accumulation_steps: int
    max_length: int


class RunEstimate(Frozen):
    """What a run will take, said before it starts.

    seconds: first step to adapter, evaluations and checkpoints included. peak_memory_bytes: of the device on CUDA, else
    of the worker process. tokens: processed by all training steps, padding included. basis: where the figures come from.
    smaller: what would take less memory, the mildest first.
    cost_usd: what a provider will charge, None if that is not known; of a hosted job, only it, tokens and basis are said.
    """

    seconds: float
    load_seconds: float
    peak_memory_bytes: int
    available_memory_bytes: int | None = None
    disk_bytes: int
    steps: int
    tokens: int
    basis: str
    smaller: tuple[SmallerRun, ...] = ()
    cost_usd: float | None = None


class RunMeasurement(Frozen):
    """What a run took, over all its attempts; fields mean the same as in RunEstimate.

    queue_seconds: accepted to first step, without loading the model and without waiting for a device.
    """

    seconds: float
    load_seconds: float
    peak_memory_bytes: int
    tokens: int
    queue_seconds: float
