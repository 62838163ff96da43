"""What a method is given beside its spec: the job's place, its parts and its voice. Made by worker.py, and by tests."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from burnish.ports import ObjectStore
from burnish.schemas.adapter import TrainingSummary
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.job import JobSpec
from burnish.schemas.models import read_record
from burnish.schemas.tuning import Finding, RunEstimate, RunMeasurement
from burnish.telemetry.tracing import Tracing
from burnish_trainer.artifacts import adapters
from burnish_trainer.artifacts.adapters import RunRecord
from burnish_trainer.artifacts.checkpoints import FOLDER, Checkpoints
from burnish_trainer.data.rows import Row, Rows, read_rows
from burnish_trainer.executors.events import EventWriter, Note
from burnish_trainer.settings import Tracker
from burnish_trainer.worker.backends import Choice, Device, DType, ModelRequest
from burnish_trainer.worker.clock import Clock

PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate")


class StopRequested(Exception):
    """The worker was asked to stop and did so at a boundary; `step` optimizer steps are behind it."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after step {step}")
        self.step = step


@dataclass(frozen=True)
class Outcome:
    """What a method leaves: a folder with the adapter's files, how the run went and what it took, and what it found."""

    adapter_folder: Path
    summary: TrainingSummary
    measured: RunMeasurement
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class RunContext:
    """folder: the job's, for checkpoints and fetched files. stop: set once the worker was asked to stop.

    findings, estimate, overhead_seconds: as the assignment has them. report_to: trackers by transformers' names.
    processes: how many train this job together; process 0 is the main one.
    """

    job_id: str
    spec: JobSpec
    folder: Path
    base_model_folder: Path
    base_model: BaseModelRef
    store: ObjectStore
    events: EventWriter
    device: Device
    dtype: DType
    backend: Choice
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Clock = field(default_factory=Clock)
    tracing: Tracing = field(default_factory=lambda: Tracing("burnish-worker"))
    findings: tuple[Finding, ...] = ()
    estimate: RunEstimate | None = None
    overhead_seconds: float = 0.0
    report_to: tuple[Tracker, ...] = ()
    report_project: str = "burnish"
    process: int = 0
    processes: int = 1

    @property
    def is_main(self) -> bool:
        """Only the main process says events, seals checkpoints and publishes."""
        return self.process == 0

    @cached_property
    def record(self) -> RunRecord:
        return RunRecord(
            adapter_name=self.spec.adapter_name,
            base_model=self.base_model,
            backend=self.backend.name,
            backend_why=self.backend.why,
            base_licence=_licence(self.base_model_folder),
            device=self.device,
            dtype=self.dtype,
            packages=_packages(self.backend.name),
        )

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.store, self.job_id, self.folder / FOLDER)

    def rows(self, kind: type[Row]) -> Rows[Row]:
        return read_rows(self.store, self.spec.dataset, kind)

    def say(self, message: str) -> None:
        """A line for people, into the job's events."""
        self.events.write(Note(message=message))

    def check_stop(self) -> None:
        """Raise StopRequested before the first step; later the training loop looks by itself."""
        if self.stop.is_set():
            raise StopRequested(0)

    def fetch_adapter(self, ref: VersionRef) -> Path:
        return adapters.fetch(self.store, ref, self.folder / FOLDER / "initial-adapter")

    def load_model(self, backend: ModuleType, initial_adapter: Path | None = None) -> Any:
        """Base and adapter by a backend; what it takes counts as loading."""
        with self.clock.phase("load"):
            return backend.load(self.model_request(initial_adapter))

    def model_request(self, initial_adapter: Path | None = None) -> ModelRequest:
        return ModelRequest(
            folder=self.base_model_folder,
            lora=self.spec.lora,
            quantization=self.spec.quantization,
            device=self.device,
            dtype=self.dtype,
            max_length=self.spec.optimizer.max_length,
            seed=self.spec.seed,
            initial_adapter=initial_adapter,
        )


def _licence(base_model: Path) -> str | None:
    licence = read_record(base_model).licence.strip()
    return licence if licence.lower() not in ("", "none", "unknown") else None


def _packages(backend: str) -> dict[str, str]:
    names: tuple[str, ...] = (*PACKAGES, "unsloth", "unsloth_zoo") if backend == "unsloth" else PACKAGES
    found = {name: _installed(name) for name in names}
    return {name: found_version for name, found_version in found.items() if found_version}


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
