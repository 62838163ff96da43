"""What a worker reports: one JSON line per event in its events.jsonl. Written by workers, read by the scheduler.

A line counts once it ends in a newline; a torn last line of a killed worker is never read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from burnish.jsonl import AppendLog, whole_lines
from burnish.schemas.base import Frozen, VersionRef
from burnish.schemas.training.hosted import RemoteModel
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import Finding, RunMeasurement


class WorkerEvent(Frozen):
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Metrics(WorkerEvent):
    """Progress at a step: a training step, or (validation_loss alone) an evaluation after it.

    repeated: copied from a checkpoint after a resume; kept only if the first report was lost. step_seconds and tokens:
    how long this training step took and how many tokens it processed.
    """

    kind: Literal["metrics"] = "metrics"
    step: int
    total_steps: int
    epoch: float
    train_loss: float | None = None
    validation_loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    step_seconds: float | None = None
    tokens: int | None = None
    repeated: bool = False

    @property
    def series(self) -> Literal["train", "validation"]:
        return "train" if self.validation_loss is None else "validation"


class Note(WorkerEvent):
    """A line for people."""

    kind: Literal["note"] = "note"
    message: str


class CheckpointSaved(WorkerEvent):
    """A complete checkpoint to resume from."""

    kind: Literal["checkpoint"] = "checkpoint"
    step: int
    message: str


class Referenced(WorkerEvent):
    """The reference's log-probabilities are at hand. cached: read, and not computed."""

    kind: Literal["reference"] = "reference"
    cached: bool


class Found(WorkerEvent):
    """A warning that only the run itself could give: overfitting, a checkpoint kept on one machine only."""

    kind: Literal["finding"] = "finding"
    finding: Finding


class Succeeded(WorkerEvent):
    """The adapter version exists: its manifest is in the object store. Or the model that stays with its provider does."""

    kind: Literal["succeeded"] = "succeeded"
    adapter: VersionRef | None = None
    remote_model: RemoteModel | None = None
    measured: RunMeasurement | None = None


class Failed(WorkerEvent):
    """error: BurnishError.to_dict(). retry: another attempt may end otherwise (a part did not answer, a defect of ours).

    changed_spec: what the next attempt is to train instead, from the start (the job ran out of memory and allows it).
    """

    kind: Literal["failed"] = "failed"
    error: dict[str, Any]
    retry: bool
    changed_spec: JobSpec | None = None


class Suspended(WorkerEvent):
    """Stopped at a step boundary because it was asked to (SIGTERM); resumes from its last checkpoint."""

    kind: Literal["suspended"] = "suspended"
    step: int


Event = Annotated[
    Metrics | Note | Found | Referenced | CheckpointSaved | Succeeded | Failed | Suspended,
    Field(discriminator="kind"),
]
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class EventWriter(AppendLog):
    """Appends events to a file; each is on disk when `write` returns. Thread-safe."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode=0o600)

    def write(self, event: Event) -> None:
        self.append(event.model_dump_json(exclude_none=True).encode())


def parse(data: bytes) -> tuple[list[Event], int]:
    """The whole lines of `data` as events, and how many bytes they take; what follows the last newline is left."""
    lines, size_bytes = whole_lines(data)
    return [_EVENT.validate_json(line) for line in lines], size_bytes
