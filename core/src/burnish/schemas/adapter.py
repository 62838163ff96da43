"""Adapter versions: what the trainer writes and the inference front checks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from burnish.schemas.base import BaseModelRef, Frozen, Manifest
from burnish.schemas.methods import Method
from burnish.schemas.tuning import Finding, RunEstimate, RunMeasurement


class TrainingSummary(Frozen):
    """How the run went; losses are mean negative log-likelihood per trained token (SFT) or the method's own loss."""

    steps: int
    best_step: int
    first_train_loss: float | None
    final_train_loss: float | None
    best_validation_loss: float | None
    trained_tokens: int | None
    duration_seconds: float
    peak_memory_bytes: int | None
    stopped_early: bool


class AdapterManifest(Manifest):
    """adapters/<name>/<version>/manifest.json; version = version_of(adapter_config.json, adapter_model.safetensors)."""

    name: str
    version: str
    base_model: BaseModelRef
    job_id: str
    method: Method
    backend: Literal["peft", "unsloth"]
    quantization: Literal["none", "nf4"]
    rank: int
    alpha: int
    target_modules: list[str]
    use_rslora: bool = False
    use_dora: bool = False
    seed: int
    params: dict[str, Any] = Field(description="every training parameter, defaults resolved")
    training: TrainingSummary
    checkpoint_step: int | None = Field(
        default=None, description="set where a checkpoint was published; None: the job's best"
    )
    findings: list[Finding] = Field(default=[], description="warnings of preflight and of the run")
    estimate: RunEstimate | None = None
    measured: RunMeasurement | None = None
    packages: dict[str, str] = Field(description="package -> version")


class Alias(Frozen):
    """aliases/<name>.json: the one mutable kind; written with If-Match."""

    name: str
    version: str
