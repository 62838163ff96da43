"""`EvalRequest`: what is saved of it and what is not, the command that repeats it, and which questions are targeted."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from unit.evaluation.questions import make_questions

from burnish.errors import InvalidInputError
from burnish_client.evaluation.comparison import split_of
from burnish_client.evaluation.request import BaselineSettings, Endpoint, EvalRequest, JudgeSettings, Prices, Sampling

ENDPOINT = Endpoint(
    "https://me:pass@host/v1", "candidate-token", without=frozenset({"seed", "logprobs"}), ca=Path("/here/ca.pem")
)
REQUEST = EvalRequest(
    benchmark="files/v1",
    endpoint=ENDPOINT,
    base_model="base",
    candidate_model="tuned",
    base_endpoint=Endpoint("http://other", "base-token"),
    sampling=Sampling(extra={"top_p": 0.5}),
    judge=JudgeSettings(Endpoint("http://judge", "judge-token"), "judge"),
    prices={"base": Prices(1.0, 2.0)},
    baselines=BaselineSettings(("schema", "prompt")),
)


def test_it_is_saved_without_secrets_and_paths_of_this_machine_and_read_back() -> None:
    saved = REQUEST.model_dump_json()
    assert not any(secret in saved for secret in ("-token", "me:pass", "ca.pem"))
    assert not any(secret in repr(REQUEST) for secret in ("-token",))
    read = EvalRequest.model_validate_json(saved)
    assert read.endpoint == Endpoint("https://host/v1", without=ENDPOINT.without)
    assert (
        read.model_copy(update={"endpoint": ENDPOINT, "base_endpoint": REQUEST.base_endpoint, "judge": REQUEST.judge})
        == REQUEST
    )
    assert read.model_dump_json() == saved


def test_it_is_frozen_and_a_misspelt_field_is_an_error() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        REQUEST.base_model = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        EvalRequest.model_validate(REQUEST.model_dump() | {"base_sample": 3})
    with pytest.raises(ValidationError, match="nearest"):
        EvalRequest.model_validate(REQUEST.model_dump() | {"baselines": {"names": ["nearest"]}})


def test_greedy_repeats_are_no_evidence_of_noise() -> None:
    assert "at temperature 0" in (REQUEST.greedy_repeats() or "")
    sampled = REQUEST.model_copy(update={"sampling": Sampling(temperature=0.7), "candidate_samples": 4})
    assert sampled.greedy_repeats() is None
    assert REQUEST.model_copy(update={"base_samples": 1}).greedy_repeats() is None
    assert "--candidate-samples 4 --temperature 0.7" in sampled.command()


def test_the_command_that_repeats_it_has_no_secrets() -> None:
    assert REQUEST.command() == (
        "burnish eval --benchmark files@v1 --candidate-url https://host/v1 --candidate-model tuned "
        "--base-url http://other --base-model base --samples 2 --seed 0 --control schema,prompt"
    )
    stack = EvalRequest(
        benchmark="files/v1",
        endpoint=Endpoint("http://stack"),
        base_model="base",
        candidate_model="fixes@1",
        adapter="fixes@1",
        dataset="fix/2",
    )
    assert stack.command() == "burnish eval --benchmark files@v1 --adapter fixes@1 --dataset fix@2 --samples 2 --seed 0"
    assert stack.model_copy(update={"reproduce": "burnish demo"}).command() == "burnish demo"


def test_without_a_dataset_a_list_or_the_questions_own_marks_say_what_is_targeted() -> None:
    questions = make_questions(3)
    marked = [*questions[:2], questions[2].model_copy(update={"extra": {"targeted": True}})]
    assert split_of(marked, None).held_out == ["q0002"]
    assert split_of(marked, None, ["q0000"]).targeted == ["q0000"]
    with pytest.raises(InvalidInputError, match="nothing says which questions are targeted"):
        split_of(questions, None)
    with pytest.raises(InvalidInputError, match="not in the benchmark: q9"):
        split_of(questions, None, ["q9"])
