"""Estimates held against real runs on this machine: `python tests/bench/bench_estimate.py [--only sft,dpo] [--limit 0.25] [--keep runs.json]`.

Each run trains SmolLM2-135M for a few steps in a process of its own. Its time is taken as CPU seconds a core, since neighbours on
the machine come and go; its memory is the process's own peak. The first run of each kind calibrates the others of its kind.
docs/training-estimates.md has a table of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

BASE = Path(os.environ.get("BURNISH_BASE_MODEL", ".cache/models/smollm2-135m-instruct")).resolve()
WORDS = (
    "river",
    "stone",
    "cloud",
    "market",
    "engine",
    "letter",
    "garden",
    "winter",
    "silver",
    "bridge",
    "paper",
    "candle",
)
# kind, words of a prompt, rank, batch, accumulation, steps, evaluation interval
RUNS: tuple[tuple[str, int, int, int, int, int, int], ...] = (
    ("sft", 110, 32, 4, 1, 3, 3),
    ("sft", 110, 8, 2, 1, 4, 4),
    ("sft", 240, 32, 4, 1, 2, 2),
    ("sft", 40, 64, 8, 2, 2, 1),
    ("dpo", 110, 32, 2, 1, 3, 3),
    ("dpo", 50, 8, 4, 1, 2, 1),
    ("kto", 110, 32, 4, 1, 2, 2),
    ("kto", 50, 8, 2, 1, 3, 3),
    ("orpo", 110, 32, 2, 1, 2, 2),
    ("orpo", 50, 8, 4, 1, 2, 2),
    ("simpo", 110, 32, 2, 1, 2, 2),
    ("simpo", 50, 8, 4, 1, 2, 2),
    ("sft nf4", 110, 32, 2, 1, 2, 2),
    ("sft nf4", 50, 8, 4, 1, 2, 2),
)


def text(random_: random.Random, words: int) -> str:
    return " ".join(f"{random_.choice(WORDS)} {random_.randrange(1000)}" for _ in range(words // 2))


def rows_of(method: str, words: int, count: int, seed: int) -> list[Any]:
    """Rows of the method's format; prompts of 0.7 to 1.3 times so many words (and as many numbers), answers of a dozen words."""
    from unit.trainer.made import assistant, user

    from burnish.schemas.dataset import DpoRow, KtoRow, SftRow

    random_ = random.Random(f"{method}/{words}/{seed}")
    rows: list[Any] = []
    for number in range(count):
        prompt = user(text(random_, round(words * random_.uniform(0.7, 1.3))) + "\nWhich one is it? Answer in JSON.")
        good, bad = assistant(json.dumps({"answer": text(random_, 8)})), assistant(text(random_, 12))
        common: dict[str, Any] = {"question_id": f"{seed}-{number}", "source": "correction", "prompt": prompt}
        if method == "sft":
            rows.append(SftRow(**common, completion=good))
        elif method == "kto":
            rows.append(KtoRow(**common, completion=good if number % 2 else bad, label=bool(number % 2)))
        else:
            rows.append(DpoRow(**common, chosen=good, rejected=bad))
    return rows


def one(kind: str, words: int, rank: int, batch: int, accumulation: int, steps: int, every: int) -> dict[str, Any]:
    """Train in this process; what was counted before and measured after, as JSON."""
    from unit.trainer.made import job_spec, put_dataset

    from burnish.objectstores.memory import MemoryObjectStore
    from burnish.ports import ObjectInfo
    from burnish.schemas.training.methods import METHODS
    from burnish_trainer.executors import events
    from burnish_trainer.executors.assignment import Assignment
    from burnish_trainer.preflight.base_model import load_base_model
    from burnish_trainer.preflight.examine import check
    from burnish_trainer.worker.clock import Clock, Timed
    from burnish_trainer.worker.main import make_context, train

    class WeightlessStore(MemoryObjectStore):
        """Keeps no adapters and checkpoints, which would count as the worker's memory; they are read back from its folder."""

        def put_file(self, key: str, path: Path) -> ObjectInfo:
            return self.put(key, b"")

    class CpuClock(Clock):
        """Also notes CPU seconds: of the reference pass, and when the first step began."""

        began: float | None = None
        reference = 0.0

        def step_begins(self) -> None:
            self.began = self.began or time.process_time()
            super().step_begins()

        @contextmanager
        def phase(self, name: Timed) -> Iterator[None]:
            start = time.process_time()
            with super().phase(name):
                yield
            self.reference += time.process_time() - start if name == "reference" else 0

    method, _, quantization = kind.partition(" ")
    store, folder = WeightlessStore(), Path(tempfile.mkdtemp())
    count = batch * accumulation * steps
    dataset = put_dataset(store, rows_of(method, words, count, 1), rows_of(method, words, 6, 2))
    params = METHODS[method].params().model_dump(mode="json")
    spec = job_spec(
        dataset,
        method,
        params=params,
        lora={"rank": rank},
        quantization=quantization or "none",
        optimizer={
            "max_steps": steps,
            "batch_size": batch,
            "gradient_accumulation_steps": accumulation,
            "evaluation_interval_steps": every,
            "learning_rate": 1e-4,
        },
    )
    report = check(spec, load_base_model(BASE), store)
    if report.workload is None or report.model is None:
        raise SystemExit(f"preflight refuses the bench's own rows: {report.findings}")
    assignment = Assignment(job_id="job-bench", attempt=1, spec=spec, base_model=BASE, device="cpu")
    writer = events.EventWriter(folder / "events.jsonl")
    clock = CpuClock()
    ctx = replace(make_context(assignment, folder, store, writer, threading.Event()), clock=clock)
    done = train(ctx)
    if not isinstance(done, events.Succeeded) or done.measured is None:
        raise SystemExit(f"the run ended otherwise: {done}")
    assert clock.began is not None
    cores = len(os.sched_getaffinity(0))
    cpu_seconds = (time.process_time() - clock.began + clock.reference) / cores
    return {
        "kind": kind,
        "what": f"{words} words, rank {rank}, {batch} × {accumulation} rows, {steps} steps",
        "spec": spec.model_dump(mode="json"),
        "workload": report.workload.model_dump(),
        "model": report.model.model_dump(),
        "measured": done.measured.model_copy(update={"seconds": cpu_seconds}).model_dump(),
        "wall_seconds": done.measured.seconds,
    }


def forked(run: tuple[str, int, int, int, int, int, int]) -> dict[str, Any] | None:
    """`one` in a child process, so that its peak memory is its own; None where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        child = os.fork()
        if child == 0:
            try:
                path.write_text(json.dumps(one(*run)))
                os._exit(0)
            except BaseException:  # SystemExit too: the child must never go on as its parent
                traceback.print_exc()
                os._exit(1)
        os.waitpid(child, 0)
        if not path.exists():
            return None
        result: dict[str, Any] = json.loads(path.read_text())
        return result


def report(runs: list[dict[str, Any]]) -> float:
    """Prints a Markdown table: measured, and the estimate's error before and after calibration by the first run of the kind.

    Returns the largest error after calibration.
    """
    from burnish.schemas.training.job import JobSpec
    from burnish_trainer.hardware.machine import MachineReader
    from burnish_trainer.preflight.estimate import estimate, scale_of
    from burnish_trainer.preflight.types import ModelShape, PastRun, Workload

    machine = MachineReader(Path(tempfile.gettempdir()), "cpu")()
    lines = [
        "| run | | CPU s a core | uncalibrated | calibrated | peak MB | uncalibrated | calibrated |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    first: dict[str, PastRun] = {}
    errors: dict[str, list[float]] = {"time": [], "memory": []}
    for run in runs:
        spec, workload = JobSpec.model_validate(run["spec"]), Workload.model_validate(run["workload"])
        model = ModelShape.model_validate(run["model"])
        past = PastRun.model_validate({name: run[name] for name in ("spec", "workload", "measured")})
        took = past.measured
        raw = estimate(spec, workload, model, machine, None)
        cells = [_off(raw.seconds, took.seconds), "calibrates"]
        memory = [_off(raw.peak_memory_bytes, took.peak_memory_bytes), "calibrates"]
        if run["kind"] in first:
            said = estimate(spec, workload, model, machine, scale_of([first[run["kind"]]], model, machine))
            cells[1], memory[1] = _off(said.seconds, took.seconds), _off(said.peak_memory_bytes, took.peak_memory_bytes)
            errors["time"].append(abs(said.seconds / took.seconds - 1))
            errors["memory"].append(abs(said.peak_memory_bytes / took.peak_memory_bytes - 1))
        first.setdefault(run["kind"], past)
        figures = [f"{took.seconds:.1f}", *cells, f"{took.peak_memory_bytes / 1e6:.0f}", *memory]
        lines.append("| " + " | ".join([run["kind"], run["what"], *figures]) + " |")
    for name, values in errors.items():
        if values:
            lines.append(
                f"\n{name}, calibrated: median error {statistics.median(values):.0%}, largest {max(values):.0%}"
            )
    print("\n".join(lines))
    return max(max(values, default=0.0) for values in errors.values())


def _off(said: float, took: float) -> str:
    return f"{said / took - 1:+.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="kinds, with commas; default: all")
    parser.add_argument(
        "--keep", type=Path, help="JSON file that finished runs are added to; the report is of all in it"
    )
    parser.add_argument(
        "--limit", type=float, help="exit 1 if a run failed or a calibrated estimate is off by more than this share"
    )
    arguments = parser.parse_args()
    only = [kind for kind in arguments.only.split(",") if kind]
    kept: list[dict[str, Any]] = (
        json.loads(arguments.keep.read_text()) if arguments.keep and arguments.keep.exists() else []
    )
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
    import trl  # noqa: F401  # shared by the runs below, which are forks: no thread has begun yet

    import burnish_trainer.worker.loop.training  # noqa: F401

    failed = False
    for run in RUNS:
        if only and run[0] not in only:
            continue
        result = forked(run)
        if result is None:
            print(f"{run} failed", file=sys.stderr)
            failed = True
            continue
        kept.append(result)
        print(f"{result['kind']:8} {result['what']}: {result['measured']['seconds']:.1f} s", flush=True)
        if arguments.keep:
            arguments.keep.write_text(json.dumps(kept))
    largest = report(kept)
    if arguments.limit is not None and (failed or largest > arguments.limit):
        sys.exit(1)


if __name__ == "__main__":
    main()
