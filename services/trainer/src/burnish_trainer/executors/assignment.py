"""What a worker is told, spec.json in its attempt folder, and the other files there. Shared by executors and worker.py."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from burnish.schemas.base import Frozen
from burnish.schemas.job import JobSpec
from burnish.schemas.tuning import Finding, RunEstimate

LOG = "worker.log"
HEARTBEAT = "heartbeat"  # touched each second; further processes of one attempt: heartbeat.1, …


class Assignment(Frozen):
    """One attempt at one job.

    base_model: a folder with its burnish-model.json; findings and estimate: of the job's preparation, kept with its
    adapter; overhead_seconds: what the queue has taken of its time, without waiting for a device; environment: what
    shows the worker the devices that it was granted; set before anything touches one; traceparent: the attempt's span.
    """

    job_id: str
    attempt: int
    spec: JobSpec
    base_model: Path
    device: Literal["auto", "cpu", "cuda"] = "auto"
    environment: dict[str, str] = {}
    findings: list[Finding] = []
    estimate: RunEstimate | None = None
    overhead_seconds: float = 0.0
    traceparent: str | None = None
