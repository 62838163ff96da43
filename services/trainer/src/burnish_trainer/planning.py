"""Preflight and estimate of a job before it takes a device: what the engine and PreviewTuningJob ask. No torch here."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from burnish.digests import canonical_json, sha256_hex
from burnish.schemas.base import BaseModelRef
from burnish_trainer.preparation import PastRuns, Preparer, Preview
from burnish_trainer.spec import JobSpec


class RunPlanner:
    """burnish_trainer.preparation.Planner. device: as configured (auto, cpu, cuda)."""

    def __init__(
        self, preparer: Preparer, past_runs: PastRuns, base_model: BaseModelRef, work_dir: Path, device: str
    ) -> None:
        self._preparer = preparer
        self._past_runs = past_runs
        self._base_model = base_model
        self._work_dir = work_dir
        self._device = device

    def preview(self, spec: JobSpec, deadline: datetime | None = None) -> Preview:
        preparation = self._preparer.prepare(spec)
        return Preview(
            findings=preparation.findings, workload=preparation.workload, estimate=None, kind=self._kind(spec)
        )

    def _kind(self, spec: JobSpec) -> str:
        alike = [self._device, self._base_model.digest, spec.method, spec.quantization, spec.backend]
        return sha256_hex(canonical_json(alike))
