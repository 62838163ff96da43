"""What a worker is told: spec.json in its attempt folder. Written by an executor, read by worker.py."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from burnish.schemas.base import Frozen
from burnish.schemas.tuning import Finding, RunEstimate
from burnish_trainer.spec import JobSpec


class Assignment(Frozen):
    """One attempt at one job.

    base_model: a folder with its burnish-model.json; findings and estimate: of the job's preparation, kept with its
    adapter; overhead_seconds: what the queue has taken of its time, without waiting for a device.
    """

    job_id: str
    attempt: int
    spec: JobSpec
    base_model: Path
    device: Literal["auto", "cpu", "cuda"] = "auto"
    findings: list[Finding] = []
    estimate: RunEstimate | None = None
    overhead_seconds: float = 0.0
