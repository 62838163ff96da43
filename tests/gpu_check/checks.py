"""The checks: `python -m gpu_check.checks <device> <shape> <model folder> <work folder> <name> …`, run by __main__.py.

Prints a JSON line for each: {"check": name, …} with what was measured, {"skipped": why}, or {"failed": …} by an assertion that says
what is wrong.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import resource
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from integration.trainer.training.runs import Run, Runner
from lending.card import CARD_BYTES
from unit.trainer.made import job_spec, put_dataset, sft_rows

from burnish.errors import UnavailableError
from burnish.machine import devices, gpus
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import BaseModelRef
from burnish.schemas.device import LeaseRequest
from burnish.schemas.models import read_record
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import RunEstimate
from burnish_trainer.executors.events import Failed, Succeeded
from burnish_trainer.hardware.backends import Device
from burnish_trainer.hardware.machine import MachineReader
from burnish_trainer.preflight import workload
from burnish_trainer.preflight.base_model import load_base_model
from burnish_trainer.preflight.planner import RunPlanner
from burnish_trainer.preflight.types import CheckReport, PastRun
from burnish_trainer.serving import HttpServing

Figures = dict[str, Any]
ALONE = Path(__file__).parents[1] / "gpu/trainer/one_run.py"
STEPS = {"tiny": 4, "135M": 20, "1.5B": 10, "7B": 6}


class Skipped(Exception):
    """Why a check says nothing here."""


class Place:
    """Where a check runs: on a device, with a model of the shape, in folders below the work folder."""

    def __init__(self, device: Device, shape: str, base: Path, work: Path) -> None:
        self.device, self.shape, self.base, self.work = device, shape, base, work
        self.steps = STEPS[shape]
        numbers = itertools.count()
        self.runner = Runner(base, lambda: work / f"job-{time.time_ns()}-{next(numbers)}", device=device)

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
    """The worker's SFT in bf16 beside stock TRL on the same rows: tokens a second. What is made at a first step, a run before made."""
    for steps in (1, place.steps):
        optimizer = place.optimizer | {"max_steps": steps, "evaluation_interval_steps": steps}
        run = place.ends(place.runner.sft(backend="peft", rows=64, validation=[], optimizer=optimizer))
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
    """NF4: the loss falls. The peaks of both runs are of one process, NF4 first, so the second is no lower than the first."""
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
    needed, there = estimated.peak_memory_bytes, estimated.available_memory_bytes
    if place.device == "cuda" and needed > there:
        raise Skipped(f"by the estimate it needs {needed / 1e9:.1f} GB and {there / 1e9:.1f} GB are free")
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
    """Unsloth beside PEFT, each in a process of its own: the first loss within 2 %, and memory. On a CPU: its rewrite of TRL alone."""
    if find_spec("unsloth") is None:
        raise Skipped("the unsloth package is not installed")
    peft, other = (train_alone(place, backend) for backend in ("peft", "unsloth"))
    first = other["train_loss"]["1"]
    assert abs(first / peft["train_loss"]["1"] - 1) < 0.02, f"first loss {first}, by PEFT {peft['train_loss']['1']}"
    return {"first_loss": first, "peak_ratio": other["peak_memory_bytes"] / peft["peak_memory_bytes"]}


def train_alone(place: Place, backend: str) -> dict[str, Any]:
    """SFT in a process of its own, which leaves nothing on the device; its outcome, by one_run.py."""
    folder = place.work / f"alone-{time.time_ns()}"
    folder.mkdir()
    changes = json.dumps({"optimizer": place.optimizer})
    command = [sys.executable, str(ALONE), str(place.base), str(folder), place.device, "sft", backend, changes]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return outcome


SERVICE_SECONDS = 120.0


def lease(place: Place) -> Figures:
    """The inference service lends its device: a scripted vLLM that holds 92 % of it sleeps while a job trains, and is back afterwards.

    The job asks for half of the device, which vLLM does not leave beside it.
    """
    gpu = gpus.visible(os.environ)[0] if place.device == "cuda" else None
    name, size_bytes = (gpu.uuid, gpu.memory_bytes // 2) if gpu else (devices.cpu(), CARD_BYTES // 2)
    request = LeaseRequest(holder="gpu-check", devices=[name], size_bytes=size_bytes, ttl_seconds=120.0)
    with _service(place, name) as serving:
        beside = serving.status().free_bytes
        to_lend = _until(lambda: serving.ask(request).granted)
        lent = serving.status()
        assert lent.phase == "asleep", f"vLLM is {lent.phase}: it does not leave the device by sleep ({lent})"
        losses = train_alone(place, "peft")["train_loss"]
        serving.give_back(request.holder)
        to_return = _until(lambda: serving.status().phase == "serving")
        assert losses[str(place.steps)] < losses["1"], f"the loss did not fall: {losses}"
        return {
            "free_bytes_beside": beside,
            "free_bytes_asleep": lent.free_bytes,
            "seconds_to_lend": to_lend,
            "seconds_to_return": to_return,
        }


@contextmanager
def _service(place: Place, name: str) -> Iterator[HttpServing]:
    folder, token = place.work / "lease", "token-of-the-gpu-check-itself"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lending.service", str(folder), str(place.base), str(port), place.device, name]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | {"BURNISH_TOKEN": token}, stdout=log, stderr=log)
    serving = HttpServing(f"http://127.0.0.1:{port}", token)
    try:
        _until(lambda: process.poll() is not None or serving.status().phase == "serving")
        assert process.poll() is None, "the service has ended"
        yield serving
    except Exception as error:
        error.add_note(f"the service's log ends: {(folder / 'log').read_text()[-1500:]}")
        raise
    finally:
        process.terminate()
        process.wait(timeout=30)


def _until(condition: Callable[[], bool]) -> float:
    """The seconds that it took."""
    began = time.monotonic()
    while True:
        seconds = time.monotonic() - began
        with suppress(UnavailableError):
            if condition():
                return seconds
        assert seconds < SERVICE_SECONDS, f"not within {SERVICE_SECONDS} s"
        time.sleep(0.1)


CHECKS: dict[str, Callable[[Place], Figures]] = {
    check.__name__: check for check in (estimate, sft, qlora, dpo, resume, unsloth, lease, memory)
}


def main() -> None:
    device, shape, base, work = sys.argv[1:5]
    place = Place("cuda" if device == "cuda" else "cpu", shape, Path(base), Path(work))
    for name in sys.argv[5:]:
        began = time.monotonic()
        try:
            found = CHECKS[name](place)
        except Skipped as why:
            found = {"skipped": str(why)}
        except Exception:
            found = {"failed": traceback.format_exc()[-1500:]}
        seconds = round(time.monotonic() - began, 1)
        print(json.dumps({"check": name, "shape": shape, "seconds": seconds, **found}), flush=True)


if __name__ == "__main__":
    main()
