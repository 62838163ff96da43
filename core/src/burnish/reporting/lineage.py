"""From a verdict back to the run log lines it came from: the rows of the lineage table."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.reporting.meta import ReportMeta
from burnish.schemas.evaluation import EvalRow

UNKNOWN = "not given"


def lineage(meta: ReportMeta) -> list[tuple[str, str]]:
    """(what, which) from the candidate back to the run log; `not given` where the report was not told."""
    adapter, dataset = meta.adapter, meta.dataset
    return [
        ("Base model", f"{meta.base_model} · {adapter.base_model.digest if adapter else UNKNOWN}"),
        ("Candidate", meta.candidate_model),
        (
            "Adapter",
            f"{adapter.name}@{adapter.version} · rank {adapter.rank}, alpha {adapter.alpha}" if adapter else UNKNOWN,
        ),
        (
            "Training",
            f"{adapter.method} on {adapter.backend}, job {adapter.job_id}, {adapter.training.steps} steps, seed {adapter.seed}"
            if adapter
            else UNKNOWN,
        ),
        ("Dataset", f"{dataset.name}@{dataset.version} · seed {dataset.spec.seed}" if dataset else UNKNOWN),
        ("Run log", dataset.spec.run_log_id if dataset else UNKNOWN),
        ("Benchmark", meta.benchmark or UNKNOWN),
        ("Evaluation", meta.eval_id or UNKNOWN),
        ("Made", f"{meta.created_at:%Y-%m-%d %H:%M} UTC"),
    ]


def method(meta: ReportMeta, base_rows: Sequence[EvalRow], candidate_rows: Sequence[EvalRow]) -> list[tuple[str, str]]:
    """(what, how) of the asking."""
    which = "all" if meta.reused_base_answers == len(base_rows) else f"{meta.reused_base_answers} of them"
    reused = f", {which} from the run log" if meta.reused_base_answers else ""
    return [
        ("Base answers", f"{len(base_rows)}{reused}; up to {_samples(base_rows)} a question"),
        ("Candidate answers", f"{len(candidate_rows)}; up to {_samples(candidate_rows)} a question"),
        ("Sampling", ", ".join(f"{name} {value}" for name, value in meta.sampling.items()) or UNKNOWN),
        (
            "Test of the target",
            "exact and one-sided, held-out questions; McNemar’s, or its sign-flip form where questions share a document",
        ),
        ("Test of the rest", "exact and one-sided, not worse by the margin or more"),
        ("Intervals", "95 %, of the paired difference; clusters of questions count as one"),
        ("Slices", "exact, corrected by Holm"),
        ("Regression", "the base passes every one of its samples and the candidate fails"),
    ]


def _samples(rows: Sequence[EvalRow]) -> int:
    return 1 + max((row.sample for row in rows), default=-1)
