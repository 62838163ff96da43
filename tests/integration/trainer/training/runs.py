"""Runs the worker's `attempt` inside the test process on a small model, and reads back what it left."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from unit.trainer.made import dpo_rows, job_spec, kto_rows, put_dataset, sft_rows

from burnish.layout import adapter as adapter_key
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import VersionRef
from burnish.schemas.dataset import DpoRow, KtoRow, SftRow
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import RunEstimate
from burnish.telemetry.tracing import Tracing
from burnish_trainer.artifacts.checkpoints import FOLDER, Checkpoints
from burnish_trainer.executors import events
from burnish_trainer.executors.assignment import Assignment
from burnish_trainer.executors.events import Event, EventWriter, Metrics, Succeeded
from burnish_trainer.hardware.backends import Device, DType
from burnish_trainer.worker.clock import Clock
from burnish_trainer.worker.main import attempt, failures, make_context, train

_numbers = count(1)


class StopAtStep(threading.Event):
    """A stop request that comes true while step `step` is under way."""

    def __init__(self, step: int | None, path: Path) -> None:
        super().__init__()
        self._step = step
        self._path = path

    def is_set(self) -> bool:
        if self._step is None:
            return False
        told, _ = events.parse(self._path.read_bytes())
        done = max((event.step for event in told if isinstance(event, Metrics) and not event.repeated), default=0)
        return done >= self._step - 1 and done > 0


@dataclass
class Run:
    """One job as it is after its attempts. events: of all attempts, the final one last. progress: what the clock was told."""

    runner: Runner
    spec: JobSpec
    job_id: str
    store: MemoryObjectStore
    folder: Path
    events: list[Event] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)
    estimate: RunEstimate | None = None

    def attempt(self, folder: Path, stop_at: int | None = None) -> Run:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"events-{next(_numbers)}.jsonl"
        writer = EventWriter(path)
        assignment = Assignment(
            job_id=self.job_id,
            attempt=1,
            spec=self.spec,
            estimate=self.estimate,
            base_model=self.runner.base_model,
            device=self.runner.device,
        )
        failed = failures(assignment, Checkpoints(self.store, self.job_id, folder / FOLDER))

        def training() -> Event:
            clock = Clock(progress=self.progress.append)
            ctx = make_context(assignment, folder, self.store, writer, StopAtStep(stop_at, path), clock=clock)
            return train(replace(ctx, dtype=self.runner.dtype or ctx.dtype))

        final = attempt(training, Tracing("test"), failed=failed)
        writer.close()
        self.events += [*events.parse(path.read_bytes())[0], final]
        return self

    def again(self, folder: Path | None = None) -> Run:
        """Another attempt at the same job, here or in another folder."""
        return self.attempt(folder or self.folder)

    @property
    def version(self) -> str:
        final = self.events[-1]
        assert isinstance(final, Succeeded), final
        return final.adapter.version

    def series(self, name: str) -> dict[int, float]:
        """step -> value; a step told again replaces what was told before."""
        told = [event for event in self.events if isinstance(event, Metrics) and getattr(event, name) is not None]
        return {event.step: getattr(event, name) for event in told}

    def _file(self, name: str) -> bytes:
        return self.store.get(adapter_key(self.spec.adapter_name, self.version, name))

    def weights(self) -> dict[str, torch.Tensor]:
        return load(self._file("adapter_model.safetensors"))

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self._file("adapter_config.json"))
        return config

    def manifest(self) -> AdapterManifest:
        return AdapterManifest.model_validate_json(self._file("manifest.json"))


@dataclass
class Runner:
    """Makes jobs on one base model, each in a folder of its own. dtype: instead of what the hardware does best."""

    base_model: Path
    folders: Callable[[], Path]
    dtype: DType | None = None
    device: Device = "cpu"

    def sft(self, **arguments: Any) -> Run:
        return self._run("sft", sft_rows, **arguments)

    def dpo(self, **arguments: Any) -> Run:
        return self._run("dpo", dpo_rows, **arguments)

    def kto(self, **arguments: Any) -> Run:
        return self._run("kto", kto_rows, **arguments)

    def orpo(self, **arguments: Any) -> Run:
        return self._run("orpo", dpo_rows, **arguments)

    def simpo(self, **arguments: Any) -> Run:
        return self._run("simpo", dpo_rows, **arguments)

    def _run(
        self,
        method: str,
        make_rows: Callable[..., Any],
        rows: int = 16,
        train: Sequence[SftRow | DpoRow | KtoRow] | None = None,
        validation: Sequence[SftRow | DpoRow | KtoRow] | None = None,
        spec: JobSpec | None = None,
        store: MemoryObjectStore | None = None,
        stop_at: int | None = None,
        estimate: RunEstimate | None = None,
        **changes: Any,
    ) -> Run:
        store = store or MemoryObjectStore()
        if spec is None:
            held = make_rows(4, "v") if validation is None else validation
            dataset: VersionRef = put_dataset(store, train or make_rows(rows), held)
            spec = job_spec(dataset, method, **changes)
        run = Run(self, spec, f"job-{next(_numbers):016x}", store, self.folders(), estimate=estimate)
        return run.attempt(run.folder, stop_at)
