"""A spare worker waits with its libraries loaded, so that a job's first step waits for little but its model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from integration.trainer.trainer_process import TrainerCalls, TrainerProcess, is_alive, until

from burnish.schemas.base import VersionRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb

pytestmark = pytest.mark.model

OPTIMIZER = pb.OptimizerParams(max_steps=2, learning_rate=5e-3, batch_size=4, evaluation_interval_steps=2)
WAITING = """
import os, sys, torch
from burnish_trainer.executors.lifeline import Lifeline
from burnish_trainer.worker.main import main

def handed_over(lifeline):
    assert "trl.trainer.sft_trainer" in sys.modules and "peft" in sys.modules
    unused = ("bitsandbytes.", "wandb.", "trackio.")
    assert not [name for name in sys.modules if name.startswith(unused)]
    assert not torch.cuda.is_initialized()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    assert torch.cuda.device_count() == 0, "devices were counted, and the count kept, before they were granted"
    sys.exit()

Lifeline.handed_over = handed_over
sys.argv[1:] = ["--wait", "peft", "cpu"]
main()
"""


def test_a_spare_takes_the_job_and_another_one_takes_its_place(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef
) -> None:
    until(trainer.has_warm_spare)
    (spare,) = trainer.spare_pids()
    job = calls.create(dataset, optimizer=OPTIMIZER)
    until(lambda: trainer.worker_pids() == [spare])
    list(calls.watch(job.job_id))
    ended = calls.get(job.job_id)
    assert ended.state == pb.TuningJob.STATE_SUCCEEDED, ended.error
    assert ended.measured.queue_seconds > 0  # tests/bench/bench_queue.py says how little, on a machine that is idle
    until(lambda: trainer.spare_pids() not in ([], [spare]))


def test_a_job_in_4_bits_gets_a_worker_of_its_own(
    trainer: TrainerProcess, calls: TrainerCalls, dataset: VersionRef
) -> None:
    """A spare on the CPU has left bitsandbytes out."""
    until(trainer.has_warm_spare)
    waiting = trainer.spare_pids()
    job = calls.create(dataset, optimizer=OPTIMIZER, quantization=pb.QUANTIZATION_NF4)
    list(calls.watch(job.job_id))
    ended = calls.get(job.job_id)
    assert ended.state == pb.TuningJob.STATE_SUCCEEDED, ended.error
    assert trainer.spare_pids() == waiting


def test_a_spare_that_dies_is_replaced(trainer: TrainerProcess) -> None:
    (spare,) = until(trainer.spare_pids)
    os.kill(spare, signal.SIGKILL)
    until(lambda: trainer.spare_pids() not in ([], [spare]))


def test_a_waiting_spare_has_started_no_device_and_imported_nothing_that_jobs_do_without() -> None:
    environment = os.environ | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    command = [sys.executable, "-c", WAITING]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as spare:
        assert spare.stderr is not None
        said = spare.stderr.read().decode()  # its input stays open meanwhile, as a trainer's that lives
    assert spare.returncode == 0, said


def test_a_spare_ends_with_its_trainer(store_environment: dict[str, str], tiny_base: Path, tmp_path: Path) -> None:
    trainer = TrainerProcess(tmp_path, tiny_base, store_environment)
    trainer.start()
    (spare,) = until(trainer.spare_pids)
    trainer.kill()
    until(lambda: not is_alive(spare), seconds=30)
