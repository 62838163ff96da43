"""Runs one reporter over a made-up loop, attempt after attempt: `python report_run.py <tracker> <folder> <close seconds> <attempt>…`.

An attempt is its first and last step: 1-3. Prints a JSON line: the notes said, and how long the loop and the closing took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import cast, get_args

from transformers import TrainerControl, TrainerState, TrainingArguments

from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.training.hyperparameters import LoraSpec, OptimizerSpec
from burnish.schemas.training.job import JobSpec
from burnish_trainer.executors import events
from burnish_trainer.hardware.backends import Choice
from burnish_trainer.settings import Tracker
from burnish_trainer.worker.context import RunContext
from burnish_trainer.worker.loop.trackers import Reporter
from burnish_trainer.worker.main import leave_out

JOB = "job-00000000000000aa"


def context(folder: Path) -> RunContext:
    return RunContext(
        job_id=JOB,
        spec=JobSpec(
            dataset=VersionRef(name="colours", version="0" * 16),
            adapter_name="colours",
            method="sft",
            params={},
            lora=LoraSpec.model_validate({"rank": 8}),
            optimizer=OptimizerSpec(learning_rate=1e-4, evaluation_interval_steps=1),
        ),
        folder=folder,
        base_model_folder=folder,
        base_model=BaseModelRef(name="base", digest="sha256:0"),
        store=MemoryObjectStore(),
        events=events.EventWriter(folder / "events.jsonl"),
        device="cpu",
        dtype="float32",
        backend=Choice("peft", "as asked"),
        report_project="colours-project",
    )


def attempt(ctx: RunContext, tracker: Tracker, first: int, last: int, close_seconds: float) -> tuple[float, float]:
    """Seconds of the loop and of the closing."""
    args = TrainingArguments(
        output_dir=str(ctx.folder), use_cpu=True, report_to="none", run_name=ctx.job_id, project=ctx.report_project
    )
    state, control = TrainerState(), TrainerControl()
    reporter = Reporter(tracker, ctx)
    began = time.monotonic()
    reporter.on_train_begin(args, state, control, model=None)
    for step in range(first, last + 1):
        state.global_step = step
        reporter.on_log(args, state, control, model=None, logs={"loss": 1.0 / step, "learning_rate": 1e-4})
    reporter.on_train_end(args, state, control, model=None)
    looped = time.monotonic()
    reporter.close(close_seconds)
    return looped - began, time.monotonic() - looped


def main() -> None:
    tracker, folder, close_seconds = cast(Tracker, sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    leave_out(set(get_args(Tracker)) - {tracker})
    ctx = context(folder)
    seconds = []
    for steps in sys.argv[4:]:
        first, last = (int(step) for step in steps.split("-"))
        seconds.append(attempt(ctx, tracker, first, last, close_seconds))
    said, _ = events.parse((folder / "events.jsonl").read_bytes())
    notes = [event.message for event in said if isinstance(event, events.Note)]
    print(
        json.dumps({"notes": notes, "loop": [loop for loop, _ in seconds], "close": [close for _, close in seconds]}),
        flush=True,
    )


if __name__ == "__main__":
    main()
