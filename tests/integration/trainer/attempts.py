"""Real workers by the real executor, attempt by attempt, and what they reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from integration.trainer.trainer_process import until
from unit.trainer.made import job_spec

from burnish.schemas.base import VersionRef
from burnish_trainer.executors import events
from burnish_trainer.executors.assignment import Attempt
from burnish_trainer.executors.events import CheckpointSaved, Event, Metrics
from burnish_trainer.executors.local import LocalExecutor, LocalWorker


class Attempts:
    """One job's attempts by an executor, without a queue."""

    def __init__(
        self,
        executor: LocalExecutor,
        dataset: VersionRef,
        job_id: str,
        optimizer: dict[str, Any],
        devices: Sequence[str],
    ) -> None:
        self._executor = executor
        self._devices = list(devices)
        spec = job_spec(dataset, device_count=len(devices), lora={"rank": 8, "dropout": 0.1}, optimizer=optimizer)
        self.attempt = Attempt(job_id=job_id, attempt=0, spec=spec)
        self.job_id = job_id

    def start(self) -> LocalWorker:
        self.attempt = self.attempt.model_copy(update={"attempt": self.attempt.attempt + 1})
        return self._executor.start(self.attempt, self._devices)

    def said(self) -> list[Event]:
        return events.parse(self._executor.read_events(self.job_id, self.attempt.attempt, 0))[0]

    @property
    def folder(self) -> Path:
        """The job's."""
        return self._executor.job_folder(self.job_id)

    def log(self) -> str:
        return (self.folder / f"attempt-{self.attempt.attempt}" / "worker.log").read_text()

    def saved(self) -> list[int]:
        """Steps of the checkpoints that the current attempt has reported."""
        return [event.step for event in self.said() if isinstance(event, CheckpointSaved)]

    def ends(self, worker: LocalWorker) -> str | None:
        until(lambda: worker.exit_status() is not None, 240, self.log())
        worker.kill()
        return worker.exit_status()


def trained(said: list[Event], *, newly: bool = True) -> dict[int, float | None]:
    told = (event for event in said if isinstance(event, Metrics) and event.series == "train")
    return {event.step: event.train_loss for event in told if not (newly and event.repeated)}
