"""What a method is given beside its spec: the job's place, its parts and its voice. Made by worker.py, and by tests."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from burnish.ports import ObjectStore
from burnish.schemas.adapter import TrainingSummary
from burnish.schemas.base import BaseModelRef
from burnish.schemas.dataset import DpoRow, SftRow
from burnish_trainer import adapters
from burnish_trainer.backends import Choice, Device, DType, ModelRequest
from burnish_trainer.checkpoints import FOLDER, Checkpoints
from burnish_trainer.events import EventWriter, Note
from burnish_trainer.rows import Rows, read_rows
from burnish_trainer.spec import JobSpec, VersionRef

Row = TypeVar("Row", SftRow, DpoRow)


class StopRequested(Exception):
    """The worker was asked to stop and did so at a boundary; `step` optimizer steps are behind it."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after step {step}")
        self.step = step


@dataclass(frozen=True)
class Outcome:
    """What a method leaves: a folder with the adapter's files, and how the run went."""

    adapter_folder: Path
    summary: TrainingSummary


@dataclass(frozen=True)
class RunContext:
    """folder: the job's, for checkpoints and fetched files. stop: set once the worker was asked to stop."""

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
