"""Training over gRPC with the real SmolLM2: a job from request to an adapter that does what it was trained to."""

from __future__ import annotations

from pathlib import Path

import pytest
from integration.trainer.trainer_process import TrainerProcess
from unit.trainer.made import put_dataset, sft_rows

from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_trainer.artifacts import adapters


@pytest.mark.model
def test_smollm_learns_the_rows(smollm_trainer: TrainerProcess, trainer_store: S3ObjectStore) -> None:
    dataset = put_dataset(trainer_store, sft_rows(24), sft_rows(4, "v"))
    calls = smollm_trainer.call()
    job = calls.create(
        dataset,
        optimizer=pb.OptimizerParams(max_steps=10, learning_rate=2e-3, batch_size=4, evaluation_interval_steps=5),
        lora=pb.LoraParams(rank=8),
    )
    metrics = [event.metrics for event in calls.watch(job.job_id) if event.WhichOneof("event") == "metrics"]
    ended = calls.get(job.job_id)
    calls.channel.close()
    assert ended.state == pb.TuningJob.STATE_SUCCEEDED, ended.error
    train = [m.train_loss for m in metrics if m.HasField("train_loss")]
    validation = [m.validation_loss for m in metrics if m.HasField("validation_loss")]
    assert len(train) == 10
    assert train[-1] < 0.2 * train[0]
    assert validation[-1] < 0.5
    assert validation[-1] < validation[0]
    manifest = adapters.read_manifest(trainer_store, VersionRef(name=ended.adapter.name, version=ended.adapter.version))
    assert manifest.base_model.name == "smollm2-135m-instruct"
    assert manifest.training.peak_memory_bytes is not None
    assert manifest.training.peak_memory_bytes < 4 * 2**30


@pytest.mark.model
def test_the_server_never_maps_torch(smollm_trainer: TrainerProcess) -> None:
    assert smollm_trainer.process is not None
    maps = Path(f"/proc/{smollm_trainer.process.pid}/maps").read_text()
    assert "libpython" in maps or "python" in maps
    assert "torch" not in maps
