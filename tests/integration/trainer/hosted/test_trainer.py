"""Hosted jobs by a whole trainer: queue, workers and releases are real processes, the provider is a fake on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from adapter_making import adapter_files, arrays_for
from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.server import FakeServer, Fault, serving
from hosted_fakes.together_tuning import TogetherTuning
from hosted_python import find_hosted_python
from integration.trainer.hosted.secrets_scan import assert_no_secret
from integration.trainer.trainer_process import TrainerCalls, TrainerProcess, messages, series, until
from unit.trainer.made import kto_rows, put_dataset, sft_rows

from burnish.adapters.base import BaseModel
from burnish.errors import NotFoundError
from burnish.layout import hosted
from burnish.objectstores.s3 import S3ObjectStore
from burnish.registry import remote_models
from burnish.schemas.base import VersionRef
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_trainer.artifacts import adapters

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

HOSTED = pb.HostedSpec(provider="openai", model="gpt-4.1-nano", spend_limit_usd=1)
CREATE = "POST /v1/fine_tuning/jobs"
PRICES = {
    "prices": [
        {"provider": "openai", "model": "gpt-4.1*", "usd_per_million_tokens": {"sft": 1.5}, "date": "2026-11-01"},
        {"provider": "openai", "model": "free", "usd_per_million_tokens": {"sft": 0}, "date": "2026-11-01"},
    ]
}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeServer]:
    with serving(OpenAITuning()) as server:
        yield server


@pytest.fixture(scope="module")
def together() -> Iterator[FakeServer]:
    with serving(TogetherTuning()) as server:
        yield server


@pytest.fixture(scope="module")
def running(
    provider: FakeServer,
    together: FakeServer,
    store_environment: dict[str, str],
    tiny_base: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TrainerProcess]:
    folder = tmp_path_factory.mktemp("hosted")
    prices, secrets = folder / "prices.json", folder / "secrets"
    prices.write_text(json.dumps(PRICES))
    secrets.write_text(f"# of the test\nOPENAI_API_KEY={OpenAITuning().token}\n")
    secrets.chmod(0o600)
    environment = store_environment | {
        "OPENAI_BASE_URL": f"{provider.url}/v1",
        **TogetherTuning().access(together.url, TogetherTuning().token),
        "BURNISH_TRAINER_SECRETS_FILE": str(secrets),
        "BURNISH_TRAINER_HOSTED_PYTHON": str(find_hosted_python()),
        "BURNISH_TRAINER_PRICES": str(prices),
        "BURNISH_TRAINER_HOSTED_POLL_SECONDS": "0.1",
        "BURNISH_TRAINER_HOSTED_LONGEST_POLL_SECONDS": "0.2",
        "BURNISH_TRAINER_HOSTED_SETTLE_SECONDS": "0.2",
        "BURNISH_TRAINER_WARM_WORKERS": "0",
    }
    trainer = TrainerProcess(folder, tiny_base, environment)
    trainer.start()
    yield trainer
    trainer.stop()
    assert trainer.worker_pids() == []


@pytest.fixture
def fake(provider: FakeServer) -> OpenAITuning:
    """With nothing in it."""
    provider.answers = fake = OpenAITuning()
    provider.faults, provider.asked = [], []
    return fake


@pytest.fixture
def calls(running: TrainerProcess, fake: OpenAITuning) -> Iterator[TrainerCalls]:
    calls = running.call()
    yield calls
    calls.channel.close()


@pytest.fixture(scope="module")
def rows(trainer_store: S3ObjectStore) -> VersionRef:
    return put_dataset(trainer_store, sft_rows(12), sft_rows(4, "v"), name="hosted")


def released(calls: TrainerCalls, job_id: str) -> pb.TuningJob:
    until(lambda: calls.get(job_id).released, 60, f"{job_id} is not released")
    return calls.get(job_id)


def test_a_provider_trains_a_job_while_the_device_is_busy(
    running: TrainerProcess,
    calls: TrainerCalls,
    fake: OpenAITuning,
    rows: VersionRef,
    trainer_store: S3ObjectStore,
) -> None:
    here = calls.create(rows, optimizer=pb.OptimizerParams(max_steps=100_000, batch_size=2)).job_id
    calls.reaches_step(here, 1)
    job_id = calls.create(rows, hosted=HOSTED).job_id
    events = list(calls.watch(job_id))
    assert calls.get(here).state == pb.TuningJob.STATE_RUNNING
    calls.cancel(here)
    calls.reaches_state(here, pb.TuningJob.STATE_CANCELLED, 60)
    job = calls.get(job_id)
    assert job.state == pb.TuningJob.STATE_SUCCEEDED, job.error
    assert not job.HasField("adapter")
    (paid,) = fake.paid
    assert job.remote_model.model == fake.jobs[paid]["fine_tuned_model"]
    assert (job.remote_model.base_model, list(job.devices)) == ("gpt-4.1-nano", [])
    recorded = remote_models.read(trainer_store, job.spec.adapter_name, job.remote_model.version)
    assert (recorded.remote.model, recorded.job_id) == (job.remote_model.model, job_id)
    assert job.estimate.cost_usd == pytest.approx(job.estimate.tokens * 1.5 / 1e6)
    assert "2026-11-01" in job.estimate.basis
    assert f"openai has the job as {paid}" in messages(events)
    assert series(events) == {1: 2.0, 2: 1.0, 3: 2 / 3}
    released(calls, job_id)
    assert fake.files == {}
    assert_no_secret(running, fake.token, trainer_store)


def test_weights_that_come_back_are_a_version_whoever_dies_meanwhile(
    running: TrainerProcess,
    together: FakeServer,
    calls: TrainerCalls,
    rows: VersionRef,
    trainer_store: S3ObjectStore,
    tiny_base: Path,
) -> None:
    fake = TogetherTuning()
    # Weights of its own: the same ones are the version that another test of this store has published.
    fake.adapter = adapter_files(arrays=arrays_for(BaseModel.open(tiny_base).linears, seed=1))
    together.answers, together.victim = fake, lambda: running.worker_pids()[0]
    together.faults = [Fault(fake.weights, "after", "kill")]
    place = pb.HostedSpec(provider="together", model=fake.model, spend_limit_usd=1)
    job_id = calls.create(rows, hosted=place).job_id
    list(calls.watch(job_id))
    job = released(calls, job_id)
    assert job.state == pb.TuningJob.STATE_SUCCEEDED, job.error
    assert (job.attempts, len(fake.paid), fake.files) == (2, 1, {})
    manifest = adapters.read_manifest(trainer_store, VersionRef(name=job.adapter.name, version=job.adapter.version))
    assert (manifest.backend, manifest.rank, manifest.training.steps) == ("together", 4, 3)
    assert "price-from-provider" in {finding.code for finding in manifest.findings}
    assert_no_secret(running, fake.token, trainer_store)


@pytest.mark.parametrize("lost", [False, True], ids=["known", "answer lost"])
def test_a_cancelled_job_is_cancelled_at_its_provider(
    provider: FakeServer, calls: TrainerCalls, fake: OpenAITuning, rows: VersionRef, lost: bool
) -> None:
    fake.holds_at = "running"
    if lost:
        provider.faults = [Fault(CREATE, seconds=3.0)]
    job_id = calls.create(rows, hosted=HOSTED).job_id
    until(lambda: fake.paid, 60)
    began = time.monotonic()
    calls.cancel(job_id)
    calls.reaches_state(job_id, pb.TuningJob.STATE_CANCELLED, 30)
    assert time.monotonic() - began < 15
    released(calls, job_id)
    assert (fake.running, fake.files, len(fake.paid)) == ([], {}, 1)
    assert fake.jobs[fake.paid[0]]["status"] == "cancelled"


def test_a_job_is_not_removed_while_something_is_left_at_its_provider(
    provider: FakeServer, calls: TrainerCalls, fake: OpenAITuning, rows: VersionRef, trainer_store: S3ObjectStore
) -> None:
    fake.holds_at = "running"
    job_id = calls.create(rows, hosted=HOSTED).job_id
    until(lambda: fake.paid, 60)
    provider.faults = [Fault("", "before", times=200)]
    calls.cancel(job_id)
    calls.reaches_state(job_id, pb.TuningJob.STATE_CANCELLED, 30)
    with pytest.raises(grpc.RpcError, match="may still run at openai"):
        calls.delete(job_id)
    provider.faults = []
    released(calls, job_id)
    assert fake.running == []
    calls.delete(job_id)
    with pytest.raises(NotFoundError):
        trainer_store.get(hosted(job_id))


def test_a_hosted_job_cannot_be_paused(calls: TrainerCalls, fake: OpenAITuning, rows: VersionRef) -> None:
    fake.holds_at = "running"
    job_id = calls.create(rows, hosted=HOSTED).job_id
    until(lambda: fake.paid, 60)
    with pytest.raises(grpc.RpcError, match="cannot be paused"):
        calls.pause(job_id)
    calls.cancel(job_id)
    released(calls, job_id)


def test_a_job_above_its_limit_is_refused_before_anything_is_sent(
    provider: FakeServer, calls: TrainerCalls, rows: VersionRef
) -> None:
    dear = pb.HostedSpec(provider="openai", model="gpt-4.1-nano", spend_limit_usd=0.0001)
    job_id = calls.create(rows, hosted=dear).job_id
    list(calls.watch(job_id))
    job = calls.get(job_id)
    assert job.state == pb.TuningJob.STATE_FAILED
    assert "over-spend-limit" in job.error.message
    assert provider.asked == []


@pytest.mark.parametrize(
    ("model", "accepted", "state"),
    [
        ("unheard-of", [], pb.TuningJob.STATE_FAILED),
        ("unheard-of", ["price-unknown"], pb.TuningJob.STATE_SUCCEEDED),
        ("free", [], pb.TuningJob.STATE_SUCCEEDED),
    ],
)
def test_a_price_that_is_not_known_must_be_accepted(
    calls: TrainerCalls, fake: OpenAITuning, rows: VersionRef, model: str, accepted: list[str], state: int
) -> None:
    place = pb.HostedSpec(provider="openai", model=model, spend_limit_usd=0)
    job_id = calls.create(rows, hosted=place, accepted_findings=accepted).job_id
    list(calls.watch(job_id))
    job = released(calls, job_id)  # else this job's release deletes the next one's file, which has its number
    assert job.state == state, job.error


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"lora": pb.LoraParams(rank=8)}, "spec.lora.rank"),
        ({"optimizer": pb.OptimizerParams(learning_rate=1e-4)}, "spec.optimizer.learning_rate"),
        ({"optimizer": pb.OptimizerParams(epochs=1.5)}, "spec.optimizer.epochs"),
        ({"quantization": pb.QUANTIZATION_NF4}, "spec.quantization"),
        ({"device_count": 2}, "spec.device_count"),
        ({"hosted": pb.HostedSpec(provider="openai", model="gpt-4.1-nano")}, "spec.hosted.spend_limit_usd"),
        ({"hosted": pb.HostedSpec(provider="nobody", model="m", spend_limit_usd=1)}, "spec.hosted.provider"),
        ({"hosted": pb.HostedSpec(provider="openai", model="a b", spend_limit_usd=1)}, "spec.hosted.model"),
    ],
)
def test_what_a_provider_does_not_take_is_refused_by_field(
    calls: TrainerCalls, rows: VersionRef, fields: dict[str, object], field: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        calls.create(rows, **{"hosted": HOSTED, **fields})
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
    assert field.removeprefix("spec.") in refused.value.details()  # type: ignore[attr-defined]


def test_a_method_that_a_provider_does_not_train(calls: TrainerCalls, trainer_store: S3ObjectStore) -> None:
    thumbs = put_dataset(trainer_store, kto_rows(12), name="hosted-kto")
    with pytest.raises(grpc.RpcError, match="openai trains sft and dpo only, not kto"):
        calls.create(thumbs, hosted=HOSTED, sft=None, kto=pb.KtoParams())


def test_too_few_rows_are_refused(calls: TrainerCalls, fake: OpenAITuning, trainer_store: S3ObjectStore) -> None:
    few = put_dataset(trainer_store, sft_rows(9), name="hosted-few")
    job_id = calls.create(few, hosted=HOSTED).job_id
    list(calls.watch(job_id))
    assert "provider-too-few-rows" in calls.get(job_id).error.message


def test_a_trainer_without_a_credential_says_what_to_set(trainer: TrainerProcess, dataset: VersionRef) -> None:
    calls = trainer.call()
    with pytest.raises(grpc.RpcError, match="set OPENAI_API_KEY for it") as refused:
        calls.create(dataset, hosted=HOSTED)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION  # type: ignore[attr-defined]
    calls.channel.close()
