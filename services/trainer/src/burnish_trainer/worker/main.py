"""Trains one job: `python -m burnish_trainer.worker.main <attempt folder>`. Knows no database; reports in events.jsonl.

`--wait <backend> <cpu|cuda>` instead of a folder: load that backend's libraries, as far as that takes no device, and wait for
the folder as a line on standard input.
If several processes train a job together (executors/launch.py), process 0 alone writes events.jsonl, seals checkpoints and
publishes. What ends a worker, and how it shows that it lives: executors/lifeline.py. SIGTERM means: save a checkpoint at the next
step boundary and end. Model libraries are imported late, so that the lifeline is there first.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

from burnish.digests import model_digest
from burnish.errors import BurnishError, Code, CorruptDataError, InternalError
from burnish.machine import disk
from burnish.ports import ObjectStore
from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.models import read_record
from burnish.schemas.training.methods import METHODS
from burnish.service.settings import S3Settings
from burnish.telemetry import logs
from burnish.telemetry.tracing import Tracing, fail
from burnish_trainer.artifacts import MORE_ROOM, adapters
from burnish_trainer.artifacts.checkpoints import FOLDER, Checkpoints
from burnish_trainer.executors import launch
from burnish_trainer.executors.assignment import Assignment
from burnish_trainer.executors.events import Event, EventWriter, Failed, Note, Succeeded, Suspended
from burnish_trainer.executors.lifeline import Lifeline, only_worker
from burnish_trainer.hardware.backends import Device, choose
from burnish_trainer.settings import ReportSettings, Tracker
from burnish_trainer.worker import backends, memory, methods
from burnish_trainer.worker.clock import Clock
from burnish_trainer.worker.context import Outcome, RunContext, StopRequested
from burnish_trainer.worker.reserve import Reserve

log = logging.getLogger(__name__)

WAIT = "--wait"
SERVICE = "burnish-worker"  # as traces name it
QUIET_LOGGERS = ("urllib3", "httpx")
# What may be imported where there are GPUs. peft and trl import bitsandbytes, which asks every visible GPU for its capability
# (0.50.2, cuda_specs.py) and so takes memory on each and settles which ones this process sees. Unsloth asks too, and
# must come before transformers.
TAKING_NO_GPU = {
    "peft": (
        "torch",
        "datasets",
        "accelerate",
        "transformers.models.auto.modeling_auto",
        "transformers.modeling_utils",
    ),
    "unsloth": ("torch", "datasets"),
}
QUANTIZER = ("bitsandbytes",)  # for nf4 alone; a spare on the CPU gets no such job (executors/local.py)
LAZY = ("AutoModelForCausalLM", "AutoTokenizer", "LlamaForCausalLM", "Trainer")
RETRIED = (Code.UNAVAILABLE, Code.INTERNAL, Code.DEADLINE_EXCEEDED)


def main() -> int:
    """Exit code 0: succeeded, or stopped as asked; 1: failed, and the last event says why."""
    lines = logs.configure(sys.stderr, QUIET_LOGGERS)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    process, processes = launch.rank_and_world_size(os.environ)
    lifeline = Lifeline(process)
    tracing = Tracing.from_environment(SERVICE)  # its imports are a waiting worker's, not a job's
    leave_out(set(get_args(Tracker)) - set(ReportSettings().trackers))
    if sys.argv[1] == WAIT:
        preload("unsloth" if sys.argv[2] == "unsloth" else "peft", "cuda" if sys.argv[3] == "cuda" else "cpu")
        folder = lifeline.handed_over()
    else:
        folder = Path(sys.argv[1])
        lifeline.beat(folder)
    assignment = Assignment.model_validate_json((folder / "spec.json").read_bytes())
    if assignment.device == "cpu" and assignment.spec.quantization == "none":
        leave_out(QUANTIZER)
    os.environ.update(assignment.environment)
    lines.fixed |= {"job_id": assignment.job_id, "attempt": assignment.attempt}
    with only_worker(folder.parent) if process == 0 else contextlib.nullcontext():
        writer = EventWriter(folder / ("events.jsonl" if process == 0 else f"events.{process}.jsonl"))
        store = S3Settings().open()  # type: ignore[call-arg]  # from the environment
        reserve = Reserve(folder / f"reserve.{process}")

        def training() -> Event:
            clock = Clock(tracing, lifeline.progress)
            with disk.needing(None, folder.parent, "train", MORE_ROOM):
                return train(
                    make_context(assignment, folder.parent, store, writer, stop, process, processes, tracing, clock)
                )

        failed = failures(assignment, Checkpoints(store, assignment.job_id, folder.parent / FOLDER))
        about: dict[str, Any] = {"job_id": assignment.job_id, "attempt": assignment.attempt, "process": process}
        final = attempt(training, tracing, assignment.traceparent, failed, **about)
        reserve.release()
        writer.write(final)
    return 1 if isinstance(final, Failed) else 0


def leave_out(packages: Iterable[str]) -> None:
    """peft, transformers and trl import what they find installed: a quarter of a worker's start. A module that is None is not found."""
    for name in packages:
        sys.modules[name] = None  # type: ignore[assignment]


def preload(backend: Literal["peft", "unsloth"], device: Device) -> None:
    """Import what every job needs, so that its first step need not wait for it, and take no device, since none is granted yet."""
    if device == "cuda":
        for name in TAKING_NO_GPU[backend]:
            import_module(name)
        from burnish_trainer.worker import torch_device

        torch_device.require_untaken()
        return
    leave_out(QUANTIZER)
    backends.prepared(backend)
    for method in METHODS:
        methods.named(method)
    for name in LAZY:  # transformers loads its classes when they are first asked for by name
        getattr(import_module("transformers"), name)


def failures(assignment: Assignment, checkpoints: Checkpoints) -> Callable[[Exception], Failed]:
    """What becomes of an attempt's errors."""

    def failed(error: Exception) -> Failed:
        if found := memory.shortage(error):
            return memory.failure(found, assignment, checkpoints.delete_all)
        return failure(error)

    return failed


def failure(error: Exception) -> Failed:
    """What nobody foresaw is a defect, worth another attempt."""
    if isinstance(error, BurnishError):
        return Failed(error=error.to_dict(), retry=error.code in RETRIED)
    defect = InternalError(
        f"training ended by an unexpected {type(error).__name__}; the worker's log has the traceback"
    )
    return Failed(error=defect.to_dict(), retry=True)


def attempt(
    training: Callable[[], Event],
    tracing: Tracing,
    traceparent: str | None = None,
    failed: Callable[[Exception], Failed] = failure,
    **about: Any,
) -> Event:
    """Run the training as a span of the attempt; returns the event that ends the attempt, whatever happened.

    What is left of the trace is exported before the event is written, since the trainer ends this process once it has read it.
    """
    with tracing.span("train", parent=traceparent, **about) as span:
        log.info("attempt taken up")
        try:
            final = training()
        except StopRequested as stopped:
            final = Suspended(step=stopped.step)
        except Exception as error:
            log.exception("attempt failed")
            final = failed(error)
            fail(span, final.error["message"])
        span.set_attribute("outcome", final.kind)
    tracing.close()
    return final


def make_context(
    assignment: Assignment,
    job_folder: Path,
    store: ObjectStore,
    writer: EventWriter,
    stop: threading.Event,
    process: int = 0,
    processes: int = 1,
    tracing: Tracing | None = None,
    clock: Clock | None = None,
) -> RunContext:
    """Check the base model, and choose device, precision and backend."""
    from burnish_trainer.worker import torch_device

    tracing = tracing or Tracing(SERVICE)
    clock, reports = clock or Clock(tracing), ReportSettings()
    device = torch_device.present(assignment.device)
    folder = assignment.base_model
    with clock.phase("load"):
        record = read_record(folder)
        base_model = BaseModelRef(name=record.name, digest=record.digest)
        assignment.spec.require_base(base_model)
        if model_digest(folder) != record.digest:
            raise CorruptDataError(f"{folder} is not the model that its burnish-model.json records: run set-up again")
    return RunContext(
        job_id=assignment.job_id,
        spec=assignment.spec,
        folder=job_folder,
        base_model_folder=folder,
        base_model=base_model,
        store=store,
        events=writer,
        device=device,
        dtype=torch_device.dtype(device),
        backend=choose(assignment.spec.backend, device),
        stop=stop,
        clock=clock,
        tracing=tracing,
        findings=tuple(assignment.findings),
        estimate=assignment.estimate,
        overhead_seconds=assignment.overhead_seconds,
        report_to=reports.trackers,
        report_project=reports.report_project,
        process=process,
        processes=processes,
    )


def train(ctx: RunContext) -> Event:
    """Train by the spec's method and publish the adapter, which the main process does for all."""
    from burnish_trainer.worker import torch_device

    together = f", {ctx.processes} processes" if ctx.processes > 1 else ""
    ctx.say(f"{ctx.backend.why}; {ctx.dtype} on {torch_device.describe(ctx.device)}{together}")
    backends.prepared(ctx.backend.name)
    outcome = methods.named(ctx.spec.method).run(ctx, METHODS[ctx.spec.method].params.model_validate(ctx.spec.params))
    if not ctx.is_main:
        return Note(message=f"process {ctx.process} has done its part")
    ctx.clock.progress("publishing")
    with ctx.tracing.span("publish"):
        return Succeeded(adapter=publish(ctx, outcome), measured=outcome.measured)


def publish(ctx: RunContext, outcome: Outcome) -> VersionRef:
    """Make the adapter version exist. The same files published before are the same version: that is no error."""
    description = adapters.Description(
        job_id=ctx.job_id,
        spec=ctx.spec,
        run=ctx.record,
        training=outcome.summary,
        findings=[*ctx.findings, *outcome.findings],
        estimate=ctx.estimate,
        measured=outcome.measured,
    )
    version, new = adapters.publish_folder(ctx.store, outcome.adapter_folder, description)
    if not new:
        ctx.say(f"adapter {version.name}@{version.version} exists already, with the very same weights")
    return version


if __name__ == "__main__":
    sys.exit(main())
