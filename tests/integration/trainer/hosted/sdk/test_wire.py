"""What each provider is sent, and what it alone says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hosted_fakes.fireworks_tuning import FireworksTuning
from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.server import Fault, Reply, serving
from hosted_fakes.together_tuning import TogetherTuning
from hosted_fakes.vertex_tuning import VertexTuning
from integration.trainer.hosted.sdk.hosted_jobs import JOB, HostedJob

from burnish.errors import InvalidInputError, PreconditionError, UnauthenticatedError
from burnish_trainer.executors.events import Failed, Succeeded
from burnish_trainer.hosted.providers import connect


@contextmanager
def job_at(fake: Any, folder: Path, **spec: Any) -> Iterator[HostedJob]:
    with serving(fake()) as server:
        yield HostedJob(server, folder, **spec)


@pytest.fixture
def openai(tmp_path: Path) -> Iterator[HostedJob]:
    with job_at(OpenAITuning, tmp_path) as job:
        yield job


@pytest.fixture
def together(tmp_path: Path) -> Iterator[HostedJob]:
    with job_at(TogetherTuning, tmp_path) as job:
        yield job


@pytest.fixture
def fireworks(tmp_path: Path) -> Iterator[HostedJob]:
    with job_at(FireworksTuning, tmp_path) as job:
        yield job


@pytest.fixture
def vertex(tmp_path: Path) -> Iterator[HostedJob]:
    with job_at(VertexTuning, tmp_path) as job:
        yield job


def test_openai_gets_the_jobs_own_id_as_metadata(openai: HostedJob) -> None:
    openai.run()
    sent = openai.fake.jobs[openai.fake.paid[0]]
    assert sent["method"] == {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": 4}}}
    assert (sent["model"], sent["suffix"], sent["seed"]) == ("gpt-4.1-nano", "colours", 0)
    assert sent["metadata"] == {"burnish_job": "job-0123456789abcdef"}


def test_openai_gets_beta_of_preference_pairs(tmp_path: Path) -> None:
    with job_at(OpenAITuning, tmp_path, method="dpo") as job:
        job.run()
    assert job.fake.jobs[job.fake.paid[0]]["method"]["dpo"]["hyperparameters"]["beta"] == 0.1


def test_openais_empty_quota_is_no_busy_provider(openai: HostedJob) -> None:
    empty = Reply(429, openai.fake.error("you have no quota", "insufficient_quota"))
    openai.server.faults = [Fault(openai.fake.create, "before", "reply", empty)]
    with pytest.raises(PreconditionError, match="you have no quota"):
        openai.run()


def test_together_gets_the_whole_job(together: HostedJob) -> None:
    together.run()
    sent = together.fake.jobs[together.fake.paid[0]]
    lora = {"type": "Lora", "lora_r": 8, "lora_alpha": 8, "lora_dropout": 0, "lora_trainable_modules": "all-linear"}
    assert sent["training_type"] == lora
    assert sent["training_method"] == {"method": "sft", "train_on_inputs": False}
    assert (sent["n_epochs"], sent["random_seed"], sent["packing"], sent["n_evals"]) == (3, 0, False, 5)
    assert sent["batch_size"] == 8, "the smallest that it takes, and the job has 4"
    assert sent["suffix"] == f"colours-{JOB}"


def test_together_gets_beta_of_preference_pairs(tmp_path: Path) -> None:
    with job_at(TogetherTuning, tmp_path, method="dpo") as job:
        job.run()
    method = job.fake.jobs[job.fake.paid[0]]["training_method"]
    assert (method["method"], method["dpo_beta"]) == ("dpo", 0.1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"optimizer": {"learning_rate": 0.5}},
            "optimizer.learning_rate is 0.5, and together trains .* with 1e-08 to 0.01",
        ),
        ({"optimizer": {"epochs": 30}}, "optimizer.epochs is 30"),
        ({"lora": {"rank": 128}}, "lora.rank is 128"),
    ],
)
def test_what_a_model_of_together_cannot_be_trained_with_is_refused(
    tmp_path: Path, spec: dict[str, Any], message: str
) -> None:
    with job_at(TogetherTuning, tmp_path, **spec) as job, pytest.raises(InvalidInputError, match=message):
        job.run()
    assert job.server.times("POST") == 0


@pytest.mark.parametrize("limits", [{"price_usd": 1.01}, {"user_limit_usd": 0.1}], ids=["job's", "account's"])
def test_nothing_starts_above_a_limit(together: HostedJob, limits: dict[str, float]) -> None:
    for name, value in limits.items():
        setattr(together.fake, name, value)
    with pytest.raises(PreconditionError, match="estimates"):
        together.run()
    assert together.run("release") is None
    assert (together.fake.paid, together.fake.files) == ([], {})


def test_rows_that_together_finds_invalid_are_named_in_its_words(together: HostedJob) -> None:
    together.fake.invalid = "line 3: content is empty"
    with pytest.raises(InvalidInputError, match="the rows are invalid: line 3: content is empty"):
        together.run()
    assert together.fake.paid == []


def test_an_upload_beyond_the_free_credits_is_not_called_a_wrong_key(together: HostedJob) -> None:
    out = Reply(401, {"error": {"message": "free trial exceeded", "type": "credits"}})
    together.server.faults = [Fault(together.fake.upload, "before", "reply", out, times=9)]
    with pytest.raises(PreconditionError, match=r"free credits .*free trial exceeded"):
        together.run()


def test_jobs_on_the_same_rows_share_no_file(together: HostedJob, tmp_path: Path) -> None:
    """Together gives one content one id: the first job to end would delete the other's rows."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 2)
    provider = together.provider()
    one, other = provider.upload("job-1-1-train.jsonl", path), provider.upload("job-2-1-train.jsonl", path)
    assert one != other
    assert provider.upload("job-1-1-train.jsonl", path) == one, "a lost answer is no second file"
    lines = together.fake.contents[one].splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(line) for line in path.read_text().splitlines()]
    provider.close()


def test_a_file_that_was_half_sent_is_sent_anew(together: HostedJob) -> None:
    together.server.faults = [Fault("PUT /storage/", "before")]
    assert isinstance(together.run(), Succeeded)
    assert together.run("release") is None
    assert together.fake.files == {}


def test_fireworks_gets_the_job_under_its_own_name(fireworks: HostedJob) -> None:
    fireworks.run()
    (sent,) = fireworks.fake.jobs.values()
    assert sent["name"] == f"accounts/me/supervisedFineTuningJobs/{JOB}-1"
    assert sent["dataset"] == f"accounts/me/datasets/{JOB}-1-train"
    assert sent["evaluationDataset"] == f"accounts/me/datasets/{JOB}-1-validation"
    assert (sent["baseModel"], sent["epochs"], sent["loraRank"]) == (fireworks.fake.model, 3, 8)
    assert (sent["batchSizeSamples"], sent["learningRate"]) == (4, fireworks.spec.optimizer.learning_rate)


def test_fireworks_gets_beta_of_preference_pairs(tmp_path: Path) -> None:
    with job_at(FireworksTuning, tmp_path, method="dpo") as job:
        job.run()
    (sent,) = job.fake.jobs.values()
    assert sent["lossConfig"] == {"method": "DPO", "dpo": {"beta": 0.1}}
    assert sent["trainingConfig"]["loraRank"] == 8


def test_a_beta_that_fireworks_does_not_take_is_refused(tmp_path: Path) -> None:
    params = {"beta": 0.5}
    with (
        job_at(FireworksTuning, tmp_path, method="dpo", params=params) as job,
        pytest.raises(InvalidInputError, match=r"dpo\.beta"),
    ):
        job.run()
    assert job.server.asked == []


def test_a_job_that_turns_out_too_dear_is_cancelled_there(fireworks: HostedJob) -> None:
    fireworks.fake.price_usd = 1.5
    final = fireworks.run()
    assert isinstance(final, Failed)
    assert "fireworks estimates $1.50 for the job and its limit is $1.00" in final.error["message"]
    assert fireworks.run("release") is None
    assert [job["state"] for job in fireworks.fake.jobs.values()] == ["JOB_STATE_CANCELLED"]
    assert fireworks.fake.files == {}


def test_a_name_of_fireworks_that_is_taken_is_found_and_not_taken_twice(fireworks: HostedJob) -> None:
    """The answers to both calls are lost: what they named is gone on with."""
    fireworks.server.faults = [Fault(fireworks.fake.upload), Fault(fireworks.fake.create)]
    assert isinstance(fireworks.run(), Succeeded)
    assert list(fireworks.fake.jobs) == [f"accounts/me/supervisedFineTuningJobs/{JOB}-1"]
    assert fireworks.server.times(fireworks.fake.create) == 1


def test_vertex_gets_rows_in_the_bucket_and_the_jobs_own_id_as_a_label(vertex: HostedJob) -> None:
    vertex.run()
    (sent,) = vertex.fake.jobs.values()
    rows = f"gs://rows/burnish/{JOB}-1"
    assert sent["supervisedTuningSpec"] == {
        "trainingDatasetUri": f"{rows}-train.jsonl",
        "validationDatasetUri": f"{rows}-validation.jsonl",
        "hyperParameters": {"epochCount": 3, "adapterSize": "ADAPTER_SIZE_EIGHT"},
    }
    assert (sent["baseModel"], sent["labels"]) == ("gemini-2.5-flash", {"burnish_job": JOB})


def test_vertex_gets_beta_of_preference_pairs(tmp_path: Path) -> None:
    with job_at(VertexTuning, tmp_path, method="dpo") as job:
        job.run()
    (sent,) = job.fake.jobs.values()
    assert sent["preferenceOptimizationSpec"]["hyperParameters"]["beta"] == 0.1


@pytest.mark.parametrize(("rank", "size"), [(1, "ONE"), (6, "FOUR"), (32, "SIXTEEN")])
def test_the_adapter_at_vertex_is_the_largest_not_above_the_rank(vertex: HostedJob, rank: int, size: str) -> None:
    lora = vertex.spec.lora.model_copy(update={"rank": rank})
    sent = vertex.provider().prepare(vertex.spec.model_copy(update={"lora": lora}))
    assert sent["adapter_size"] == f"ADAPTER_SIZE_{size}"


def test_a_service_account_that_google_does_not_know_is_a_refused_key(vertex: HostedJob) -> None:
    gone = Reply(400, {"error": "invalid_grant", "error_description": "account not found"})
    vertex.server.faults = [Fault("POST /token/", "before", "reply", gone, times=99)]
    with pytest.raises(UnauthenticatedError, match="account not found"):
        vertex.run()


def test_credentials_that_are_none_are_named(vertex: HostedJob, tmp_path: Path) -> None:
    access = vertex.fake.access(vertex.server.url, "t") | {
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")
    }
    with pytest.raises(PreconditionError, match=r"GOOGLE_APPLICATION_CREDENTIALS: .*none\.json"):
        connect("vertex", access)
