"""What a worker is told: spec.json in its attempt folder. Also the names of the other files there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from burnish.schemas.base import Frozen
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import Finding, RunEstimate

LOG = "worker.log"
HEARTBEAT = "heartbeat"  # "<phase> <progress so far>", each second; of an attempt's further processes: heartbeat.1, …

Phase = Literal[
    "starting",
    "uploading",
    "waiting",
    "loading",
    "reference",
    "first-step",
    "training",
    "evaluating",
    "saving",
    "publishing",
]


class Attempt(Frozen):
    """One attempt at a job, as the scheduler asks an executor for it. attempt: its number, from 1.

    findings and estimate: from the job's preparation, kept with its adapter; overhead_seconds: what the queue has taken
    of its time, without waiting for a device; traceparent: the attempt's span. goal: release, for a hosted job that has
    ended: nothing of it may be left at its provider.
    """

    job_id: str
    attempt: int
    goal: Literal["train", "release"] = "train"
    spec: JobSpec
    findings: list[Finding] = []
    estimate: RunEstimate | None = None
    overhead_seconds: float = 0.0
    traceparent: str | None = None


class Assignment(Attempt):
    """An attempt as its executor hands it to a worker.

    base_model: a folder with its burnish-model.json; environment: shows the worker the devices that it was granted, and
    is set before anything touches one.
    """

    base_model: Path
    device: Literal["auto", "cpu", "cuda"] = "auto"
    environment: dict[str, str] = {}
