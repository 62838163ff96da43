"""Real workers by the real executor, attempt by attempt, and what they said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from integration.trainer.trainer_process import until
from unit.trainer.made import job_spec

from burnish.schemas.base import VersionRef
from burnish_trainer.executors import events
from burnish_trainer.executors.events import CheckpointSaved, Event, Metrics
from burnish_trainer.executors.local import LocalExecutor, LocalWorker
from burnish_trainer.queue.jobs import Job, State
from burnish_trainer.queue.records import now


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
        counted = {name: 0 for name, field in Job.model_fields.items() if field.annotation in (int, float)}
        asked = {name: False for name, field in Job.model_fields.items() if field.annotation is bool}
        known = {"job_id": job_id, "spec": spec, "state": State.RUNNING, "create_time": now()}
        empty: dict[str, Any] = dict.fromkeys(Job.model_fields) | {
            "labels": {},
            "findings": [],
            "devices": self._devices,
        }
        self.job = Job.model_validate(empty | counted | asked | known)

    def start(self) -> LocalWorker:
        self.job = self.job.model_copy(update={"attempts": self.job.attempts + 1})
        return self._executor.start(self.job, self._devices)

    def said(self) -> list[Event]:
        return events.parse(self._executor.read_events(self.job))[0]

    @property
    def folder(self) -> Path:
        """The job's."""
        return self._executor.job_folder(self.job.job_id)

    def log(self) -> str:
        return (self.folder / f"attempt-{self.job.attempts}" / "worker.log").read_text()

    def saved(self) -> list[int]:
        """Steps of the checkpoints that the current attempt has told."""
        return [event.step for event in self.said() if isinstance(event, CheckpointSaved)]

    def ends(self, worker: LocalWorker) -> str | None:
        until(lambda: worker.exit_status() is not None, 240, self.log())
        worker.kill()
        return worker.exit_status()


def trained(said: list[Event], *, newly: bool = True) -> dict[int, float | None]:
    told = (event for event in said if isinstance(event, Metrics) and event.series == "train")
    return {event.step: event.train_loss for event in told if not (newly and event.repeated)}
