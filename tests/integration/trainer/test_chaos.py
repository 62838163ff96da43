"""One job, killed five times at random moments, ends as if nobody had touched it. `make chaos` does it thirty times over."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from integration.trainer import chaos
from unit.trainer.made import put_dataset, sft_rows

from burnish_protos.trainer.v1 import trainer_pb2 as pb

STEPS = 60
KINDS = ("worker", "trainer", "worker", "checker", "store")


@pytest.mark.model
@pytest.mark.timeout(600)
def test_a_job_survives_every_kind_of_kill(tiny_base: Path, tmp_path: Path) -> None:
    with chaos.running(tmp_path, tiny_base) as (store_process, trainer, store):
        spec = {
            "dataset": put_dataset(store, sft_rows(18), sft_rows(4, "v")),
            "lora": pb.LoraParams(rank=8, dropout=0.1),
            "optimizer": pb.OptimizerParams(
                max_steps=STEPS,
                learning_rate=5e-3,
                batch_size=4,
                evaluation_interval_steps=5,
                early_stopping_patience=0,
            ),
        }
        calls = trainer.call()
        unbroken = chaos.train(calls, store, **spec)
        began = time.monotonic()
        job_id = calls.create(**spec).job_id
        kills = chaos.Chaos(trainer, store_process, seed=4).torment(calls, job_id, STEPS, KINDS)
        tormented = chaos.ended(calls, store, job_id, began, kills)
        calls.channel.close()
    assert kills.total() == len(KINDS)
    assert tormented.attempts > 1
    assert (tormented.train, tormented.validation) == (unbroken.train, unbroken.validation)
    assert tormented.largest_difference(unbroken) == 0
    assert tormented.adapter == unbroken.adapter
