"""Job accepted → first step, the model's loading apart: with a spare worker waiting, and without. Real trainer, real SmolLM2.

Each figure is the median of --jobs jobs, one after the other on a machine that does nothing else; wall is what a caller sees
from Create to the first step's metrics, loading and the step itself included.
    PYTHONPATH=tests python tests/bench/bench_queue.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

from integration.trainer.trainer_process import TrainerCalls, TrainerProcess, until
from unit.trainer.made import put_dataset, sft_rows

from burnish.schemas.base import VersionRef
from burnish.testing import running_seaweed
from burnish_protos.trainer.v1 import trainer_pb2 as pb

MODEL = Path(__file__).resolve().parents[2] / ".cache/models/smollm2-135m-instruct"
OPTIMIZER = pb.OptimizerParams(max_steps=1, learning_rate=1e-4, batch_size=4, evaluation_interval_steps=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=5)
    jobs = parser.parse_args().jobs
    model = Path(os.environ.get("BURNISH_BASE_MODEL", MODEL))
    with tempfile.TemporaryDirectory(prefix="burnish-queue-") as folder, running_seaweed(Path(folder)) as seaweed:
        store = seaweed.store("queue")
        store.ensure_bucket()
        dataset = put_dataset(store, sft_rows(24), sft_rows(4, "v"))
        environment = {
            "BURNISH_S3_ENDPOINT": seaweed.endpoint,
            "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
            "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
            "BURNISH_S3_BUCKET": "queue",
        }
        for warm in (1, 0):
            place = Path(folder) / f"warm-{warm}"
            place.mkdir()
            trainer = TrainerProcess(place, model, environment | {"BURNISH_TRAINER_WARM_WORKERS": str(warm)})
            trainer.start()
            try:
                _measure(trainer, dataset, jobs, warm)
            finally:
                trainer.stop()


def _measure(trainer: TrainerProcess, dataset: VersionRef, jobs: int, warm: int) -> None:
    calls = trainer.call()
    _run(trainer, calls, dataset, warm)  # the first one also loads preflight and measures the machine
    runs = [_run(trainer, calls, dataset, warm) for _ in range(jobs)]
    calls.channel.close()
    queue, load, wall = (median(run[number] for run in runs) for number in range(3))
    worst = max(run[0] for run in runs)
    name = "spare worker waiting" if warm else "no spare worker"
    print(f"{name}: {queue:.2f} s to the first step (worst {worst:.2f}), loading {load:.2f} s apart; wall {wall:.2f} s")


def _run(trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef, warm: int) -> tuple[float, float, float]:
    """(queue seconds, load seconds, wall seconds to the first step's metrics)."""
    if warm:
        until(trainer.has_warm_spare)
    began = time.monotonic()
    job_id = calls.create(dataset, optimizer=OPTIMIZER).job_id
    wall = next(time.monotonic() - began for event in calls.watch(job_id) if event.metrics.step)
    list(calls.watch(job_id))
    measured = calls.get(job_id).measured
    return measured.queue_seconds, measured.load_seconds, wall


if __name__ == "__main__":
    main()
