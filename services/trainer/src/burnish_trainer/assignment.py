"""What a worker is told: spec.json in its attempt folder. Written by an executor, read by worker.py."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from burnish.schemas.base import Frozen
from burnish_trainer.spec import JobSpec


class Assignment(Frozen):
    """One attempt at one job. base_model: a folder with its burnish-model.json."""

    job_id: str
    attempt: int
    spec: JobSpec
    base_model: Path
    device: Literal["auto", "cpu", "cuda"] = "auto"
