"""What a method is given: the job, where its files are, its rows and its model, and how it reports. Made by main.py, and by tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from burnish.ports import ObjectStore
from burnish.schemas.adapter import TrainingSummary
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.models import read_record
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement
from burnish.telemetry.tracing import Tracing
from burnish_trainer.artifacts import adapters
from burnish_trainer.artifacts.adapters import RunRecord
from burnish_trainer.artifacts.checkpoints import FOLDER, Checkpoints
from burnish_trainer.data import rows
from burnish_trainer.data.batches import BatchSchedule, schedule_rows
from burnish_trainer.data.tokenizer import load_tokenizer
from burnish_trainer.data.tokens import EncodedRow, encode_records
from burnish_trainer.executors.events import EventWriter, Note
from burnish_trainer.hardware.backends import Choice, Device, DType
from burnish_trainer.settings import Tracker
from burnish_trainer.worker import backends
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
class TrainingRows:
    """A job's rows as token ids. train is never empty; validation may be."""

    train: Sequence[EncodedRow]
    validation: Sequence[EncodedRow]
    schedule: BatchSchedule

    @property
    def in_order(self) -> list[EncodedRow]:
        """The training rows as they are trained on, repetitions included."""
        return [self.train[row] for row in self.schedule.order]


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
        """Only the main process writes events, seals checkpoints and publishes."""
        return self.process == 0

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.store, self.job_id, self.folder / FOLDER)

    @cached_property
    def tokenizer(self) -> Any:
        """A transformers tokenizer, which encode_records and TRL's trainers take alike."""
        return load_tokenizer(self.base_model_folder)  # imports transformers after the backend, which may patch it

    def training_rows(self) -> TrainingRows:
        """Read, encode and schedule the job's rows. StopRequested if the worker was asked to stop meanwhile."""
        manifest = rows.read_manifest(self.store, self.spec.dataset)
        records = rows.read_records(self.store, self.spec.dataset, manifest)
        rows.require_whole(records, manifest)
        encoded = encode_records(self.tokenizer, records.all, self.spec.optimizer.max_length)
        train, validation = encoded[: len(records.train)], encoded[len(records.train) :]
        self.check_stop()
        return TrainingRows(train, validation, schedule_rows(train, self.spec))

    def load_model(self, initial: VersionRef | None = None) -> Any:
        """The base with a fresh adapter, or with `initial` to continue, by the backend. What it takes counts as loading."""
        folder = self.folder / FOLDER / "initial-adapter"
        request = backends.ModelRequest(
            folder=self.base_model_folder,
            lora=self.spec.lora,
            quantization=self.spec.quantization,
            device=self.device,
            dtype=self.dtype,
            max_length=self.spec.optimizer.max_length,
            seed=self.spec.seed,
            initial_adapter=adapters.fetch(self.store, initial, folder) if initial else None,
        )
        with self.clock.phase("load"):
            return backends.prepared(self.backend.name).load(request)

    def say(self, message: str) -> None:
        """A line for people, into the job's events."""
        self.events.write(Note(message=message))

    def check_stop(self) -> None:
        """Raise StopRequested before the first step; from then on the training loop looks by itself."""
        if self.stop.is_set():
            raise StopRequested(0)

    @cached_property
    def record(self) -> RunRecord:
        licence = read_record(self.base_model_folder).licence.strip()
        return RunRecord(
            adapter_name=self.spec.adapter_name,
            base_model=self.base_model,
            backend=self.backend.name,
            backend_why=self.backend.why,
            base_licence=licence if licence.lower() not in ("", "none", "unknown") else None,
            device=self.device,
            dtype=self.dtype,
            packages=_packages(self.backend.name),
        )


def _packages(backend: str) -> dict[str, str]:
    found = {}
    for name in (*PACKAGES, "unsloth", "unsloth_zoo") if backend == "unsloth" else PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
