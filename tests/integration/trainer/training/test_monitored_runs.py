"""What a run finds of itself and measures, also after it was resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from integration.trainer.training.runs import Run, Runner
from transformers import TrainerControl, TrainerState, TrainingArguments
from unit.trainer.made import job_spec
from unit.trainer.test_checkpoint_models import RUN
from unit.trainer.test_monitor import falling, log

from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.training.tuning import RunEstimate, RunMeasurement
from burnish_trainer.artifacts.checkpoints import Checkpoint, CheckpointMetrics, Checkpoints
from burnish_trainer.data.batches import make_schedule
from burnish_trainer.executors import events
from burnish_trainer.executors.events import Found, Metrics, Suspended
from burnish_trainer.hardware.backends import Choice
from burnish_trainer.worker.context import RunContext
from burnish_trainer.worker.loop.progress import Progress, summary
from burnish_trainer.worker.loop.training import compared

pytestmark = pytest.mark.model
DATASET = VersionRef(name="colours", version="0" * 16)


@pytest.mark.parametrize("cut", range(0, 36, 5))
def test_a_resumed_run_finds_what_an_unbroken_one_finds(cut: int, tmp_path: Path) -> None:
    """Whatever part of the log comes out of the checkpoint that it goes on from."""
    entries = log(falling(30), [1.0, 0.8, 0.9, 1.0, 1.2, 1.4])
    ctx, checkpoints = context(tmp_path), Checkpoints(MemoryObjectStore(), "job-1", tmp_path / "checkpoints")
    schedule = make_schedule([3] * 8, [1] * 8, ctx.spec.optimizer, seed=0)
    resumed = checkpoint(checkpoints, entries[:cut]) if cut else None
    progress = Progress(ctx, schedule, checkpoints, resumed)
    args, control = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none"), TrainerControl()
    for entry in entries[cut:]:
        progress.on_log(args, TrainerState(global_step=entry["step"]), control, logs=entry)
    assert [finding.code for finding in progress.findings] == ["overfitting"]
    assert "up to step 20" in progress.findings[0].message
    told, _ = events.parse((tmp_path / "events.jsonl").read_bytes())
    assert [event.finding for event in told if isinstance(event, Found)] == list(progress.findings)
    assert len([event for event in told if isinstance(event, Metrics)]) == len(entries)


def checkpoint(checkpoints: Checkpoints, history: list[dict[str, Any]]) -> Checkpoint:
    """A sealed one whose state has this log."""
    step = history[-1]["step"]
    folder = checkpoints.at(step)
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": history}))
    state = {"global_step": step, "log_history": history}
    training = summary(state, make_schedule([3], [1], job_spec(DATASET).optimizer, seed=0), 1.0, 1)
    metrics = CheckpointMetrics(step=step, epoch=1.0, validation_loss=None, elapsed_seconds=1.0, training=training)
    return checkpoints.seal(metrics, RUN)


def context(folder: Path) -> RunContext:
    return RunContext(
        job_id="job-1",
        spec=job_spec(DATASET, optimizer={"max_steps": 30}),
        folder=folder,
        base_model_folder=folder,
        base_model=BaseModelRef(name="base", digest="sha256:0"),
        store=MemoryObjectStore(),
        events=events.EventWriter(folder / "events.jsonl"),
        device="cpu",
        dtype="float32",
        backend=Choice("peft", "as asked"),
    )


# Real runs at a learning rate of nearly 0: no loss moves, so patience runs out and nothing is learnt.


def idle(runner: Runner, stop_at: int | None = None, **optimizer: Any) -> Run:
    settings = {"max_steps": 8, "evaluation_interval_steps": 1, "learning_rate": 1e-12}
    return runner.sft(rows=4, optimizer=settings | optimizer, stop_at=stop_at)


def test_what_a_run_finds_is_in_its_events_and_its_manifest_also_after_a_resume(runner: Runner) -> None:
    broken = idle(runner, stop_at=3, evaluation_interval_steps=4)
    assert isinstance(broken.events[-1], Suspended)
    run = broken.again()
    told = [event.finding for event in run.events if isinstance(event, Found)]
    assert [finding.code for finding in told] == ["no-learning"]
    assert run.manifest().findings == told


def test_early_stopping_goes_on_counting_after_a_resume_and_stays_stopped(runner: Runner) -> None:
    broken = idle(runner, stop_at=2, early_stopping_patience=2)
    assert isinstance(broken.events[-1], Suspended)
    run = broken.again()
    training = run.manifest().training
    assert (training.steps, training.best_step, training.stopped_early) == (3, 1, True)
    again = Run(run.runner, run.spec, run.job_id, run.store, run.folder).attempt(run.folder)
    assert again.version == run.version
    assert list(again.series("train_loss")) == [1, 2, 3], "its end was lost, and it does not train on"
    assert again.manifest().measured is not None


def test_a_run_measures_itself(trained: Run) -> None:
    run = trained
    measured = run.manifest().measured
    assert isinstance(measured, RunMeasurement)
    assert measured == run.events[-1].measured
    assert 0 < measured.seconds < 60
    assert measured.load_seconds > 0
    assert measured.queue_seconds > 0
    assert measured.peak_memory_bytes > 300e6
    assert measured.tokens == pytest.approx(8 * 4 * 50, rel=0.3)


def test_the_comparison_reads_as_a_sentence() -> None:
    said = RunEstimate(
        seconds=10, load_seconds=1, peak_memory_bytes=2 * 10**9, disk_bytes=1, steps=1, tokens=1, basis=""
    )
    took = RunMeasurement(seconds=12, load_seconds=1, peak_memory_bytes=18 * 10**8, tokens=1, queue_seconds=0)
    assert compared(said, took) == ("took 12.0 s (10.0 s were estimated: +20%) and 1800 MB (2000 MB: -10%)")
