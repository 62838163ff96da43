"""A trainer and an inference service share a card: one job, in which every process is killed once, each at another time.

Real: trainer, worker, inference service with its supervisor, object store, requests. Scripted: vLLM (lending/vllm.py), and a
file in a card's place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.trainer.trainer_process import until
from lending.stack import STEPS, Lending
from lending.traffic import Traffic
from unit.trainer.made import put_dataset, sft_rows, tiny_model

from burnish.objectstores.s3 import S3ObjectStore
from burnish.testing.seaweed import Seaweed

pytestmark = [pytest.mark.model, pytest.mark.timeout(1500)]


@pytest.fixture
def lending(seaweed: Seaweed, s3_store: S3ObjectStore, base_model_dir: Path, tmp_path: Path) -> Iterator[Lending]:
    store = {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": s3_store.bucket,
    }
    dataset = put_dataset(s3_store, sft_rows(18), sft_rows(4, "v"))
    with Lending(tmp_path, tiny_model(base_model_dir, tmp_path / "tiny"), dataset, store) as lending:
        yield lending


def test_whoever_dies_the_card_comes_back_and_the_job_ends_whole(lending: Lending) -> None:
    service = lending.service
    with Traffic(lending) as traffic:
        job_id = lending.create()
        until(lambda: service.phase == "sleeping", 300)
        lending.kill("vllm")
        lending.reaches_step(job_id, 10)
        with lending.frozen_worker():
            lending.kill("inference")
            device = service.device()
            assert (device["phase"], device["holder"], device["is_granted"]) == ("stopped", job_id, True)
            assert lending.calls.get(job_id).attempts == 1, "the inference service's death is no matter of the worker"
        lending.reaches_step(job_id, 50)
        lending.kill("worker")
        lending.reaches_step(job_id, 100)
        lending.kill("trainer")
        lending.reaches_step(job_id, STEPS)
        until(lambda: service.phase in ("waking", "starting"), 300)
        lending.kill("vllm")
        lending.require_whole(job_id)
        assert lending.calls.get(job_id).attempts >= 3
        answered = traffic.outcomes["answered"]
        until(lambda: traffic.outcomes["answered"] > answered, what="nobody is answered after it")
    assert traffic.wrong == []
    assert traffic.outcomes["503 DEVICE_LENT"] > 0
