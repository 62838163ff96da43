"""A worker process that follows a script instead of training: `spec.json`'s adapter_name says which.

Speaks the real worker's protocol (events.jsonl, SIGTERM, standard input), so that the engine meets real processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from burnish.errors import PreconditionError, UnavailableError
from burnish.schemas.base import VersionRef
from burnish_trainer.executors.assignment import Assignment
from burnish_trainer.executors.events import CheckpointSaved, EventWriter, Failed, Metrics, Note, Succeeded, Suspended

folder = Path(sys.argv[1])
job = Assignment.model_validate_json((folder / "spec.json").read_bytes())
writer = EventWriter(folder / "events.jsonl")
stopped = threading.Event()
script = job.spec.adapter_name
if script != "hangs":
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())


def end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    writer.write(Note(message="parent gone"))
    signal.raise_signal(signal.SIGKILL)


def step(number: int) -> None:
    writer.write(Metrics(step=number, total_steps=4, epoch=number / 2, train_loss=1 / number))


def succeed() -> None:
    writer.write(Succeeded(adapter=VersionRef(name=script, version="a" * 16)))


threading.Thread(target=end_with_parent, daemon=True).start()
step(1)
match script:
    case "succeeds" | "slow" | "unpreparable-once":
        succeed()
    case "crashes-once" if job.attempt > 1:
        step(2)
        succeed()
    case "crashes" | "crashes-once":
        print("RuntimeError: as scripted", flush=True)
        signal.raise_signal(signal.SIGKILL)
    case "refuses":
        writer.write(Failed(error=PreconditionError("scripted refusal").to_dict(), retry=False))
        sys.exit(1)
    case "too-big" if job.spec.retry_smaller:
        sizes = job.spec.optimizer.model_copy(update={"batch_size": 1, "gradient_accumulation_steps": 8})
        changed = job.spec.model_copy(update={"optimizer": sizes, "retry_smaller": False})
        error = PreconditionError("out of memory, as scripted").to_dict()
        writer.write(Failed(error=error, retry=True, changed_spec=changed))
        sys.exit(1)
    case "too-big":
        writer.write(Note(message=f"batch of {job.spec.optimizer.batch_size}"))
        succeed()
    case "unavailable":
        writer.write(Failed(error=UnavailableError("scripted outage").to_dict(), retry=True))
        sys.exit(1)
    case "progresses":  # dies after each checkpoint; five of them, more than the attempts without progress
        writer.write(CheckpointSaved(step=job.attempt, message=f"checkpoint at step {job.attempt}"))
        if job.attempt < 6:
            signal.raise_signal(signal.SIGKILL)
        succeed()
    case "garbles":
        with (folder / "events.jsonl").open("ab") as events:
            events.write(b'{"kind": "nonsense"}\n')
    case "hangs":  # deaf to SIGTERM, with a child of its own
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "60"])
        writer.write(Note(message=f"child {child.pid}"))
        time.sleep(60)
    case "stalls" if job.attempt == 1:  # alive, and at the same step for ever
        while True:
            (folder / "heartbeat").write_text("training 3")
            time.sleep(0.1)
    case "stalls":
        succeed()
    case "steps-on":  # once the test's folder says so
        while not (folder.parents[2] / "go").exists():
            time.sleep(0.02)
        step(2)
        succeed()
    case "saves-slowly":
        stopped.wait(60)
        writer.write(Note(message="saving"))
        time.sleep(0.5)
        writer.write(CheckpointSaved(step=1, message="checkpoint at step 1"))
        writer.write(Suspended(step=1))
    case "waits":
        stopped.wait(60)
        writer.write(CheckpointSaved(step=1, message="checkpoint at step 1"))
        writer.write(Suspended(step=1))
