"""How a hosted job reads on a screen: where it runs, what it is given, what it costs, and what is left at its provider."""

from __future__ import annotations

import pytest

from burnish_client.cli.views.training import following, job_text
from burnish_protos.trainer.v1 import trainer_pb2 as pb

HOSTED = pb.HostedSpec(provider="openai", model="gpt-4.1-nano", spend_limit_usd=2)
SPEC = pb.TuningSpec(
    dataset=pb.DatasetRef(name="tickets", version="2e12d583988a77d4"),
    adapter_name="tickets",
    sft=pb.SftParams(),
    hosted=HOSTED,
    lora=pb.LoraParams(rank=32),
    optimizer=pb.OptimizerParams(epochs=3, batch_size=8, learning_rate=5e-4),
)
S = pb.TuningJob


def test_it_says_who_trains_it_and_only_what_that_one_takes() -> None:
    assert job_text.summary(SPEC) == ("sft by openai:gpt-4.1-nano on tickets@2e12d583988a77d4 → adapter tickets")
    assert job_text.parameters(SPEC) == "epochs 3, batch_size 8, spend_limit_usd 2"


def test_its_estimate_is_a_price() -> None:
    known = pb.RunEstimate(tokens=300, basis="300 tokens", cost_usd=0.6)
    assert job_text.estimate_line(known) == "price about $0.60 (300 tokens)"
    little = pb.RunEstimate(tokens=3, basis="3 tokens", cost_usd=0.004)
    assert job_text.estimate_line(little) == "price less than $0.01 (3 tokens)"
    assert job_text.estimate_line(pb.RunEstimate(tokens=300, basis="300 tokens")) == "price not known (300 tokens)"


@pytest.mark.parametrize(
    ("state", "released", "words"),
    [
        (S.STATE_RUNNING, False, None),
        (S.STATE_CANCELLED, False, "may still run at openai and cost money"),
        (S.STATE_FAILED, False, "may still run at openai and cost money"),
        (S.STATE_SUCCEEDED, False, "the rows of job-1 still lie at openai"),
        (S.STATE_CANCELLED, True, None),
    ],
)
def test_it_warns_of_what_is_left_at_the_provider(state: S.State, released: bool, words: str | None) -> None:
    warning = job_text.unreleased(pb.TuningJob(job_id="job-1", spec=SPEC, state=state, released=released))
    assert (warning is None) == (words is None)
    assert (words or "") in (warning or "")


@pytest.mark.parametrize("gives_weights", [False, True])
def test_what_came_of_it_is_an_adapter_if_the_provider_gave_the_weights(
    gives_weights: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    job = pb.TuningJob(job_id="job-1", state=S.STATE_SUCCEEDED, spec=SPEC, released=True)
    job.remote_model.CopyFrom(
        pb.RemoteModel(provider="openai", endpoint="http://there/v1", model="ft:1", version="ab" * 8)
    )
    if gives_weights:
        job.adapter.CopyFrom(pb.AdapterRef(name="tickets", version="cd" * 8))
    job.progress.step = 3
    job_text.show_job(job)
    following.show_outcome(job)
    shown = capsys.readouterr()
    came, other = ("cd" * 8, "ab" * 8) if gives_weights else ("ab" * 8, "cd" * 8)
    assert f"burnish eval --benchmark NAME --adapter tickets@{came}" in " ".join((shown.out + shown.err).split())
    assert other not in shown.out + shown.err
    assert "ft:1 at http://there/v1" in shown.out
    assert "checkpoints" not in shown.err


def test_what_a_provider_charges_for_is_said_with_the_command_that_ends_it() -> None:
    running = pb.TuningJob(job_id="job-1", state=S.STATE_RUNNING, spec=SPEC)
    assert job_text.at_provider(running) == (
        "job-1 is being trained by openai:gpt-4.1-nano, which charges for it (limit $2.00): `burnish jobs cancel job-1` ends it"
    )
    ended = pb.TuningJob(job_id="job-1", state=S.STATE_CANCELLED, spec=SPEC)
    assert "may still run at openai and cost money: the trainer is ending it" in job_text.at_provider(ended)
