"""The trainer over real gRPC with real SmolLM2: a job from request to adapter."""

from __future__ import annotations

import pytest
from integration.trainer.conftest import METADATA
from unit.trainer.made import put_dataset, sft_rows

from burnish_protos.trainer.v1 import trainer_pb2 as pb


@pytest.mark.model
def test_sft_job_from_request_to_adapter(stub, trainer_store) -> None:
    dataset = put_dataset(trainer_store, sft_rows(16), sft_rows(4, "v"))
    spec = pb.TuningSpec(
        dataset=pb.DatasetRef(name=dataset.name, version=dataset.version),
        adapter_name="colours",
        optimizer=pb.OptimizerParams(max_steps=4, learning_rate=1e-3, batch_size=4, evaluation_interval_steps=2),
        lora=pb.LoraParams(rank=8),
        sft=pb.SftParams(),
    )
    job = stub.CreateTuningJob(pb.CreateTuningJobRequest(spec=spec, request_id="one"), metadata=METADATA)
    events = list(stub.WatchTuningJob(pb.WatchTuningJobRequest(job_id=job.job_id), metadata=METADATA, timeout=240))
    for event in events:
        print(event)
    ended = stub.GetTuningJob(pb.GetTuningJobRequest(job_id=job.job_id), metadata=METADATA)
    assert ended.state == pb.TuningJob.STATE_SUCCEEDED
