"""How a hosted job reads on a screen: where it runs, what it is given, what it costs, and what is left at its provider."""

from __future__ import annotations

import pytest

from burnish_client.cli.views import job_text
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
