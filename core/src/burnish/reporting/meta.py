"""What a report says beside the verdict: who was compared, on what, made from what, and the tables that show it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import Frozen
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.evaluation import Cost, EvalRow, Forgetting
from burnish.schemas.runlog import FailureCluster
from burnish.schemas.training.hosted import RemoteModelManifest

UNKNOWN = "not given"


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
    remote: RemoteModelManifest | None = Field(default=None, description="if the candidate stays with its provider")
    clusters: list[FailureCluster] = Field(default=[], description="the targeted clusters, as diagnosed")
    sampling: dict[str, Any] = Field(default={}, description="request parameters: max_tokens, temperature, seed …")
    reused_base_answers: int = Field(
        default=0, description="base answers taken from the run log instead of asked again"
    )
    forgetting: Forgetting | None = None
    costs: list[Cost] = []
    reproduce: list[str] = Field(default=[], description="commands that make this evaluation again")


def lineage(meta: ReportMeta) -> list[tuple[str, str]]:
    """(what, which) from the candidate back to the run log; `not given` where the report was not told."""
    dataset = meta.dataset
    return [
        *_models(meta),
        ("Dataset", f"{dataset.name}@{dataset.version} · seed {dataset.spec.seed}" if dataset else UNKNOWN),
        ("Run log", dataset.spec.run_log_id if dataset else UNKNOWN),
        ("Benchmark", meta.benchmark or UNKNOWN),
        ("Evaluation", meta.eval_id or UNKNOWN),
        ("Made", f"{meta.created_at:%Y-%m-%d %H:%M} UTC"),
    ]


def _models(meta: ReportMeta) -> list[tuple[str, str]]:
    """Who was compared, and how the candidate was trained."""
    if meta.remote is not None:
        version, remote = meta.remote, meta.remote.remote
        return [
            ("Base model", f"{meta.base_model} · the provider's own, at {remote.label}"),
            ("Candidate", f"{meta.candidate_model} · at {remote.label}"),
            ("Remote model", f"{version.name}@{version.version}"),
            ("Training", f"{version.method} by {remote.provider}, job {version.job_id}, seed {version.seed}"),
        ]
    adapter = meta.adapter
    if adapter is None:
        return [
            ("Base model", f"{meta.base_model} · {UNKNOWN}"),
            ("Candidate", meta.candidate_model),
            ("Adapter", UNKNOWN),
            ("Training", UNKNOWN),
        ]
    training = f"{adapter.method} on {adapter.backend}, job {adapter.job_id}, {adapter.training.steps} steps, seed {adapter.seed}"
    return [
        ("Base model", f"{meta.base_model} · {adapter.base_model.digest}"),
        ("Candidate", meta.candidate_model),
        ("Adapter", f"{adapter.name}@{adapter.version} · rank {adapter.rank}, alpha {adapter.alpha}"),
        ("Training", training),
    ]


def method(meta: ReportMeta, base_rows: Sequence[EvalRow], candidate_rows: Sequence[EvalRow]) -> list[tuple[str, str]]:
    """(what, how) of the questions asked, the samples and the tests."""
    which = "all" if meta.reused_base_answers == len(base_rows) else f"{meta.reused_base_answers} of them"
    reused = f", {which} from the run log" if meta.reused_base_answers else ""
    return [
        ("Base answers", f"{len(base_rows)}{reused}; up to {_samples(base_rows)} a question"),
        ("Candidate answers", f"{len(candidate_rows)}; up to {_samples(candidate_rows)} a question"),
        ("Sampling", ", ".join(f"{name} {value}" for name, value in meta.sampling.items()) or UNKNOWN),
        (
            "Test of the target",
            "exact and one-sided, held-out questions; McNemar’s, or its sign-flip form if questions share a document",
        ),
        ("Test of the rest", "exact and one-sided, not worse by the margin or more"),
        ("Intervals", "95 %, of the paired difference; clusters of questions count as one"),
        ("Slices", "exact, corrected by Holm"),
        ("Regression", "the base passes every one of its samples and the candidate fails"),
    ]


def _samples(rows: Sequence[EvalRow]) -> int:
    return 1 + max((row.sample for row in rows), default=-1)
