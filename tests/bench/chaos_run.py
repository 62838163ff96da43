"""`make chaos`: one job on a small model killed thirty times and more, one on SmolLM2 a few times, beside undisturbed ones.

Prints kills by kind, attempts, seconds and whether the adapters are equal bit for bit; exit code 1 where anything is lost.
    make chaos ARGS="--kills 60 --seed 7"
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import chaos
from unit.trainer.made import put_dataset, sft_rows, tiny_model

from burnish_protos.trainer.v1 import trainer_pb2 as pb

MIX = ("worker", "trainer", "worker", "trainer", "worker", "checker", "spare", "trainer", "worker", "store")
SMOLLM_MIX = ("worker", "trainer", "store", "worker", "trainer")


@dataclass(frozen=True)
class Job:
    name: str
    base_model: Path
    steps: int
    interval: int
    kinds: Sequence[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="of the job on the small model")
    parser.add_argument("--smollm-kills", type=int, default=4, help="of the job on SmolLM2; 0: leave it out")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    default_model = Path(__file__).resolve().parents[2] / ".cache/models/smollm2-135m-instruct"
    smollm = Path(os.environ.get("BURNISH_BASE_MODEL", default_model))
    with tempfile.TemporaryDirectory(prefix="burnish-chaos-") as folder:
        tiny = tiny_model(smollm, Path(folder) / "tiny")
        jobs = [Job("small model", tiny, 12 * arguments.kills, 10, _mix(MIX, arguments.kills))]
        if arguments.smollm_kills:
            kinds = _mix(SMOLLM_MIX, arguments.smollm_kills)
            jobs.append(Job("SmolLM2-135M", smollm, 5 * arguments.smollm_kills, 2, kinds))
        return max(_run(job, Path(folder) / f"job-{number}", arguments.seed) for number, job in enumerate(jobs))


def _mix(kinds: Sequence[str], count: int) -> list[str]:
    return [kinds[number % len(kinds)] for number in range(count)]


def _run(job: Job, folder: Path, seed: int) -> int:
    with chaos.running(folder, job.base_model) as (store_process, trainer, store):
        dataset = put_dataset(store, sft_rows(18), sft_rows(4, "v"))
        spec = _spec(job) | {"dataset": dataset}
        calls = trainer.call()
        unbroken = chaos.train(calls, store, **spec)
        print(f"{job.name}: undisturbed, {job.steps} steps in {unbroken.seconds:.0f} s", flush=True)
        began = time.monotonic()
        job_id = calls.create(**spec).job_id
        kills = chaos.Chaos(trainer, store_process, seed).torment(calls, job_id, job.steps, job.kinds)
        tormented = chaos.ended(calls, store, job_id, began, kills)
        calls.channel.close()
    return _report(job, unbroken, tormented)


def _spec(job: Job) -> dict[str, Any]:
    optimizer = {"max_steps": job.steps, "evaluation_interval_steps": job.interval, "early_stopping_patience": 0}
    return {
        "lora": pb.LoraParams(rank=8, dropout=0.1),
        "optimizer": pb.OptimizerParams(learning_rate=1e-3, batch_size=4, **optimizer),
    }


def _report(job: Job, unbroken: chaos.Result, tormented: chaos.Result) -> int:
    by_kind = ", ".join(f"{count} {kind}" for kind, count in sorted(tormented.kills.items()))
    difference = tormented.largest_difference(unbroken)
    same_series = (tormented.train, tormented.validation) == (unbroken.train, unbroken.validation)
    adapters = "equal bit for bit" if tormented.adapter == unbroken.adapter else f"differ by up to {difference:.3g}"
    print(f"{job.name}: {tormented.kills.total()} kills ({by_kind}), {tormented.attempts} attempts, "
          f"{tormented.seconds:.0f} s, SUCCEEDED")  # fmt: skip
    print(f"  every one of {job.steps} steps told once in the final series, which {'is' if same_series else 'is not'} "
          f"the undisturbed one; adapters {adapters}", flush=True)  # fmt: skip
    return 0 if same_series and difference == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
