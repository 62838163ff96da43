"""The checks, each in a process of its own: `python -m gpu_check.checks <name> <device> <shape> <tokenizer folder> <work folder>`.

Prints one JSON line: {"figures": …} with what was measured, or {"skipped": why}; fails by an assertion that says what is wrong.
"""

from __future__ import annotations

import itertools
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from integration.trainer.training.runs import Run, Runner
from unit.trainer.made import job_spec, put_dataset, sft_rows

from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import BaseModelRef
from burnish.schemas.job import JobSpec
from burnish.schemas.models import read_record
from burnish.schemas.tuning import RunEstimate
from burnish_trainer.executors.events import Failed, Succeeded
from burnish_trainer.hardware.machine import MachineReader
from burnish_trainer.preflight import workload
from burnish_trainer.preflight.base_model import load_base_model
from burnish_trainer.preflight.planner import RunPlanner
from burnish_trainer.preflight.types import CheckReport, PastRun
from gpu_check import models

Figures = dict[str, Any]
STEPS = {"tiny": 4, "135M": 20, "1.5B": 10, "7B": 6}


class Place:
    """Where a check runs: a model of the shape, and folders below the work folder."""

    def __init__(self, device: str, shape: str, tokenizer: Path, work: Path) -> None:
        self.device, self.shape, self.work, self.tokenizer = device, shape, work, tokenizer
        self.steps = STEPS[shape]
        self.base = work / f"model-{shape}"
        if not self.base.is_dir():
            models.make(shape, tokenizer, self.base, device)
        numbers = itertools.count()
        self.runner = Runner(
            self.base,
            lambda: work / f"job-{time.time_ns()}-{next(numbers)}",
            device="cuda" if device == "cuda" else "cpu",
        )

    @property
    def optimizer(self) -> dict[str, Any]:
        return {
            "max_steps": self.steps,
            "evaluation_interval_steps": self.steps // 2,
            "learning_rate": 1e-3,
            "batch_size": 4,
        }

    def ends(self, run: Run) -> Run:
        assert isinstance(run.events[-1], Succeeded), f"the run failed: {run.events[-1]}"
        return run


def _speed(run: Run) -> float:
    measured = run.manifest().measured
    assert measured is not None
    return measured.tokens / measured.seconds


def sft(place: Place) -> Figures:
    """The worker's SFT in bf16 beside stock TRL on the same rows: tokens a second, evaluations and checkpoints of ours included."""
    run = place.ends(place.runner.sft(backend="peft", rows=64, optimizer=place.optimizer))
    losses = run.series("train_loss")
    assert losses[place.steps] < losses[1], f"the loss did not fall: {losses}"
    stock = _stock_speed(place, run.manifest().measured)
    return {"tokens_per_second": _speed(run), "stock_tokens_per_second": stock, "ratio": _speed(run) / stock}


def _stock_speed(place: Place, measured: Any) -> float:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = sft_rows(64)
    data = [
        {"prompt": [m.model_dump() for m in row.prompt], "completion": [m.model_dump() for m in row.completion]}
        for row in rows
    ]
    cuda = place.device == "cuda"
    arguments = SFTConfig(
        output_dir=str(place.work / "stock"),
        max_steps=place.steps,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        gradient_checkpointing=cuda,
        bf16=True,
        use_cpu=not cuda,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        loss_type="nll",
    )
    model = AutoModelForCausalLM.from_pretrained(str(place.base), dtype=torch.bfloat16)
    lora = LoraConfig(r=8, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    tokenizer = AutoTokenizer.from_pretrained(str(place.base))
    trainer = SFTTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(data), processing_class=tokenizer, peft_config=lora
    )
    seconds = trainer.train().metrics["train_runtime"]
    return float(measured.tokens / seconds)  # the same number of rows of the same lengths


def qlora(place: Place) -> Figures:
    """NF4: the loss falls, and on a GPU the peak is below that of bf16."""
    four, sixteen = (
        place.ends(place.runner.sft(backend="peft", quantization=quantization, optimizer=place.optimizer))
        for quantization in ("nf4", "none")
    )
    losses = four.series("train_loss")
    assert losses[place.steps] < losses[1], f"the loss did not fall: {losses}"
    peaks = [run.manifest().training.peak_memory_bytes or 0 for run in (four, sixteen)]
    return {
        "first_loss": losses[1],
        "last_loss": losses[place.steps],
        "peak_bytes": peaks[0],
        "peak_bytes_bf16": peaks[1],
    }


def dpo(place: Place) -> Figures:
    """The first loss is ln 2, since the reference is the policy; the last one is lower."""
    run = place.ends(place.runner.dpo(backend="peft", optimizer=place.optimizer))
    losses = run.series("train_loss")
    assert abs(losses[1] - math.log(2)) < 2e-3, f"the first loss is {losses[1]}"
    assert losses[place.steps] < losses[1], f"the loss did not fall: {losses}"
    return {"first_loss": losses[1], "last_loss": losses[place.steps], "tokens_per_second": _speed(run)}


def resume(place: Place) -> Figures:
    """A run that was stopped and went on, beside one that was not: the largest difference of a weight. 0 is bit-equal."""
    whole = place.ends(place.runner.sft(backend="peft", optimizer=place.optimizer))
    stopped = place.runner.sft(backend="peft", optimizer=place.optimizer, stop_at=place.steps // 2 + 1)
    again = place.ends(stopped.again())
    ours, theirs = whole.weights(), again.weights()
    largest = max(float((ours[name].float() - theirs[name].float()).abs().max()) for name in ours)
    assert largest < 0.05, f"a resumed run differs by {largest}"
    return {"largest_difference": largest, "bit_equal": largest == 0}


class _Counted:
    """preflight.types.Checker: the rows of a job counted, without the checks."""

    def __init__(self, base: Path, rows: Callable[[int], Any]) -> None:
        self._base, self._rows = load_base_model(base), rows

    def check(self, spec: JobSpec, given_up: Any = None) -> CheckReport:
        from burnish_trainer.data.rows import record_of
        from burnish_trainer.data.tokens import encode_records

        rows = encode_records(
            self._base.tokenizer, [record_of(row) for row in self._rows(64)], spec.optimizer.max_length
        )
        return CheckReport(findings=[], workload=workload.count(spec, rows, []), model=self._base.shape)


class _NoPast:
    def past_runs(self, kind: str, limit: int) -> list[PastRun]:
        return []


def _estimate(place: Place, **changes: Any) -> RunEstimate:
    """By preflight's own planner, with no past run."""
    store = MemoryObjectStore()
    spec = job_spec(put_dataset(store, sft_rows(64), []), "sft", **changes)
    record = read_record(place.base)
    planner = RunPlanner(
        _Counted(place.base, sft_rows),
        _NoPast(),
        BaseModelRef(name=record.name, digest=record.digest),
        MachineReader(place.work, place.device),
    )
    estimate = planner.preview(spec).estimate
    assert estimate is not None
    return estimate


def estimate(place: Place) -> Figures:
    """Preflight's figures beside the run's: measured / estimated."""
    optimizer = place.optimizer | {"evaluation_interval_steps": place.steps}
    asked = {"backend": "peft", "optimizer": optimizer, "lora": {"rank": 32}}
    estimated = _estimate(place, **asked)
    run = place.ends(place.runner.sft(rows=64, validation=[], **asked))
    measured = run.manifest().measured
    assert measured is not None
    return {
        "run_seconds": measured.seconds,
        "seconds_ratio": measured.seconds / estimated.seconds,
        "peak_bytes": measured.peak_memory_bytes,
        "peak_ratio": measured.peak_memory_bytes / estimated.peak_memory_bytes,
        "basis": estimated.basis,
    }


ROWS_AT_ONCE = 4096
ROOM_BYTES = 1 << 30  # what the process may still take, in the check of memory


def memory(place: Place) -> Figures:
    """A run in too little room fails by saying how much is missing and what would fit, and asks to be tried again with that."""
    optimizer = {"max_steps": 1, "evaluation_interval_steps": 1, "batch_size": ROWS_AT_ONCE, "learning_rate": 1e-3}
    estimated = _estimate(place, optimizer=optimizer, backend="peft")
    if place.device == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, estimated.peak_memory_bytes / 2 / total))
    else:
        held = next(
            int(line.split()[1])
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("VmData")
        )
        resource.setrlimit(resource.RLIMIT_DATA, (held * 1024 + ROOM_BYTES, resource.RLIM_INFINITY))
    run = place.runner.sft(
        backend="peft", rows=ROWS_AT_ONCE, validation=[], optimizer=optimizer, retry_smaller=True, estimate=estimated
    )
    failed = run.events[-1]
    assert isinstance(failed, Failed), "the run found room after all"
    message = str(failed.error["message"])
    assert message.startswith("out of memory: the run wanted at least"), message
    return {"message": message, "retried": failed.retry}


def unsloth(place: Place) -> Figures:
    """Unsloth beside PEFT, each in a process of its own: the first loss within 2 %, speed and memory."""
    if place.device != "cuda":
        return {"skipped": "no CUDA device"}
    if find_spec("unsloth") is None:
        return {"skipped": "the unsloth package is not installed"}
    import subprocess

    script = Path(__file__).parents[1] / "gpu/trainer/one_run.py"
    outcomes = []
    for backend in ("peft", "unsloth"):
        folder = place.work / f"unsloth-{backend}"
        folder.mkdir(exist_ok=True)
        command = [
            sys.executable,
            str(script),
            str(place.base),
            str(folder),
            "cuda",
            "sft",
            backend,
            json.dumps({"optimizer": place.optimizer}),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        outcomes.append(json.loads(done.stdout.splitlines()[-1]))
    peft, other = outcomes
    assert abs(other["train_loss"]["1"] / peft["train_loss"]["1"] - 1) < 0.02
    return {
        "peak_ratio": other["peak_memory_bytes"] / peft["peak_memory_bytes"],
        "first_loss": other["train_loss"]["1"],
    }


CHECKS: dict[str, Callable[[Place], Figures]] = {
    check.__name__: check for check in (sft, qlora, dpo, resume, estimate, memory, unsloth)
}


def main() -> None:
    name, device, shape, tokenizer, work = sys.argv[1:6]
    print(json.dumps(CHECKS[name](Place(device, shape, Path(tokenizer), Path(work)))))


if __name__ == "__main__":
    main()
