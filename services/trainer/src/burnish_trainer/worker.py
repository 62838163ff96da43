"""Trains one job: `python -m burnish_trainer.worker <attempt folder>`. Knows no database; says everything in events.jsonl.

Its standard input is held open by the engine: when that closes, the engine is gone and the worker ends itself at once,
so that no orphan trains. SIGTERM means: save a checkpoint at the next step boundary and end.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from burnish.digests import model_digest
from burnish.errors import BurnishError, Code, CorruptDataError, InternalError, PreconditionError
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import BaseModelRef, Parent
from burnish.schemas.models import read_record
from burnish_trainer import adapters, backends, hardware, logs, methods
from burnish_trainer.assignment import Assignment
from burnish_trainer.card import model_card
from burnish_trainer.context import Outcome, RunContext, StopRequested
from burnish_trainer.events import Event, EventWriter, Failed, Succeeded, Suspended
from burnish_trainer.settings import S3Settings
from burnish_trainer.spec import VersionRef

log = logging.getLogger(__name__)

LOCK_SECONDS = 60.0
RETRIED = (Code.UNAVAILABLE, Code.INTERNAL, Code.DEADLINE_EXCEEDED)
PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate")


def main() -> int:
    """Exit code 0: succeeded, or stopped as asked; 1: failed, and the last event says why."""
    logs.configure(sys.stderr)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    folder = Path(sys.argv[1])
    assignment = Assignment.model_validate_json((folder / "spec.json").read_bytes())
    with _only_worker(folder.parent):
        writer = EventWriter(folder / "events.jsonl")
        store = S3Settings().open()  # type: ignore[call-arg]  # from the environment
        final = ended_by(lambda: train(make_context(assignment, folder.parent, store, writer, stop)))
        writer.write(final)
    return 1 if isinstance(final, Failed) else 0


def _end_with_parent() -> None:
    """Wait for the pipe to close; nobody ever writes to it."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _only_worker(job_folder: Path) -> IO[str]:
    """Hold the job's lock, so that an earlier attempt's dying worker and this one never write side by side."""
    lock = (job_folder / "worker.lock").open("w")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def ended_by(training: Callable[[], VersionRef]) -> Event:
    """Run the training; returns the event that ends the attempt, whatever happened."""
    try:
        return Succeeded(adapter=training())
    except StopRequested as stopped:
        return Suspended(step=stopped.step)
    except BurnishError as error:
        log.exception("attempt failed")
        return Failed(error=error.to_dict(), retry=error.code in RETRIED)
    except Exception as error:
        log.exception("attempt failed")
        return _unexpected(error)


def _unexpected(error: Exception) -> Failed:
    """Out of memory is the spec's doing and would come again; anything else is a defect, worth another attempt."""
    if type(error).__name__ == "OutOfMemoryError":
        refusal = PreconditionError(
            "the device ran out of memory: lower optimizer.batch_size (and raise gradient_accumulation_steps as much), "
            "optimizer.max_length or lora.rank, or quantise to nf4"
        )
        return Failed(error=refusal.to_dict(), retry=False)
    defect = InternalError(
        f"training ended by an unexpected {type(error).__name__}; the worker's log has the traceback"
    )
    return Failed(error=defect.to_dict(), retry=True)


def make_context(
    assignment: Assignment, job_folder: Path, store: ObjectStore, writer: EventWriter, stop: threading.Event
) -> RunContext:
    """Check the base model, and choose device, precision and backend."""
    device = hardware.device(assignment.device)
    return RunContext(
        job_id=assignment.job_id,
        spec=assignment.spec,
        folder=job_folder,
        base_model_folder=assignment.base_model,
        base_model=_verified_base(assignment.base_model),
        store=store,
        events=writer,
        device=device,
        dtype=hardware.dtype(device),
        backend=backends.choose(assignment.spec.backend, device),
        stop=stop,
    )


def train(ctx: RunContext) -> VersionRef:
    """Train by the spec's method and publish the adapter."""
    ctx.say(f"{ctx.backend.why}; {ctx.dtype} on {hardware.describe(ctx.device)}")
    method = methods.named(ctx.spec.method)
    params = method.Params.model_validate(ctx.spec.params)
    return publish(ctx, method.run(ctx.spec, params, ctx))


def _verified_base(folder: Path) -> BaseModelRef:
    record = read_record(folder)
    if model_digest(folder) != record.digest:
        raise CorruptDataError(f"{folder} is not the model that its burnish-model.json records: run set-up again")
    return BaseModelRef(name=record.name, digest=record.digest)


def publish(ctx: RunContext, outcome: Outcome) -> VersionRef:
    """Make the adapter version exist. The same files published before are the same version: that is no error."""
    weights = outcome.adapter_folder / adapters.WEIGHTS
    config = adapters.normalised_config((outcome.adapter_folder / adapters.CONFIG).read_bytes(), ctx.base_model.name)
    manifest = _manifest(ctx, outcome, adapters.version_of_files(config, weights))
    if not adapters.publish(ctx.store, manifest, config, weights, model_card(manifest)):
        ctx.say(f"adapter {manifest.name}@{manifest.version} stood there already, with the very same weights")
    return VersionRef(name=manifest.name, version=manifest.version)


def _manifest(ctx: RunContext, outcome: Outcome, adapter_version: str) -> AdapterManifest:
    spec = ctx.spec
    return AdapterManifest(
        name=spec.adapter_name,
        version=adapter_version,
        base_model=ctx.base_model,
        job_id=ctx.job_id,
        method=spec.method,
        backend=ctx.backend.name,
        quantization=spec.quantization,
        rank=spec.lora.rank,
        alpha=spec.lora.alpha,
        target_modules=list(spec.lora.target_modules),
        seed=spec.seed,
        params=spec.model_dump(mode="json") | {"device": ctx.device, "dtype": ctx.dtype},
        training=outcome.summary,
        packages=_packages(ctx),
        parents=_parents(ctx),
    )


def _parents(ctx: RunContext) -> list[Parent]:
    spec = ctx.spec
    parents = [
        Parent(kind="dataset", name=spec.dataset.name, digest=spec.dataset.version),
        Parent(kind="base_model", name=ctx.base_model.name, digest=ctx.base_model.digest),
        Parent(kind="job", name=ctx.job_id, digest=ctx.job_id),
    ]
    if initial := spec.params.get("initial_adapter"):
        parents.append(Parent(kind="adapter", name=initial["name"], digest=initial["version"]))
    return parents


def _packages(ctx: RunContext) -> dict[str, str]:
    names: tuple[str, ...] = (*PACKAGES, "unsloth", "unsloth_zoo") if ctx.backend.name == "unsloth" else PACKAGES
    found: dict[str, Any] = {name: _installed(name) for name in names}
    return {name: found_version for name, found_version in found.items() if found_version}


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
