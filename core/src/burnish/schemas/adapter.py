"""Adapter versions: what the trainer writes and the inference front checks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from burnish import __version__
from burnish.layout import PRODUCTION
from burnish.schemas.base import BaseModelRef, Frozen, Manifest
from burnish.schemas.evaluation import VerdictName
from burnish.schemas.training.hosted import ProviderName
from burnish.schemas.training.methods import Method
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement

TrainedBy = Literal["peft", "unsloth"] | ProviderName


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
    backend: TrainedBy
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


class AliasChange(Frozen):
    """alias-changes/<name>/<alias>/<number>.json: one change of an alias, written once.

    eval_id and verdict: what the new version rests on; override: the reason that stood in for a ship verdict. A rollback
    has those of the promotion that it returns to.
    """

    schema_version: int = 1
    name: str
    alias: str
    number: int = Field(ge=1, description="1 for the first change of the alias")
    action: Literal["promote", "rollback", "remove"]
    from_version: str | None = Field(description="None: the alias named no version")
    to_version: str | None = Field(description="None: the alias names no version any more")
    eval_id: str | None = None
    verdict: VerdictName | None = None
    override: str | None = None
    reason: str | None = Field(default=None, description="of a rollback or removal, if one was given")
    by: str = Field(description="as the caller's machine names its user; not proven")
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    burnish_version: str = __version__


class Alias(Frozen):
    """aliases/<name>.json: the one mutable kind; written with If-Match.

    version None: it names no version (any more). change: what set it; None only if it was written by hand.
    """

    name: str
    version: str | None
    alias: str = PRODUCTION
    change: AliasChange | None = None
