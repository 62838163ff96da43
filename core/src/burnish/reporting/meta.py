"""What a report says beside the verdict: who was compared, on what, made from what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import Frozen
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.evaluation import Cost, Forgetting
from burnish.schemas.runlog import FailureCluster


class ReportMeta(Frozen):
    """Everything but the two models' names may be missing; the report then says what it does not know."""

    eval_id: str = ""
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    base_model: str
    candidate_model: str
    benchmark: str = Field(default="", description="name/version")
    questions: list[BenchmarkQuestion] = Field(
        default=[], description="their texts and expected answers are shown beside answers"
    )
    dataset: DatasetManifest | None = None
    adapter: AdapterManifest | None = None
    clusters: list[FailureCluster] = Field(default=[], description="the targeted clusters, as diagnosed")
    sampling: dict[str, Any] = Field(default={}, description="request parameters: max_tokens, temperature, seed …")
    reused_base_answers: int = Field(
        default=0, description="base answers taken from the run log instead of asked again"
    )
    forgetting: Forgetting | None = None
    costs: list[Cost] = []
    reproduce: list[str] = Field(default=[], description="commands that make this evaluation again")
