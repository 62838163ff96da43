"""Multiple choice by the log-probabilities of the answer's first token."""

from __future__ import annotations

import math

import pytest

from burnish.errors import InvalidInputError
from burnish.grading import Evidence, Grade, grade, needs, request_parameters
from burnish.schemas.benchmark import GraderSpec

CHOICES = {"A": "London", "B": "Paris", "C": "Rome"}
SPEC = GraderSpec(name="multiple_choice", args={"choices": CHOICES, "by": "logprob"})


def graded(probabilities: dict[str, float] | None, expected: str = "B", answer: str = "The") -> Grade:
    logprobs = None if probabilities is None else {token: math.log(p) for token, p in probabilities.items()}
    return grade(SPEC, answer, expected, Evidence(first_token_logprobs=logprobs))


@pytest.mark.parametrize(
    ("probabilities", "label"),
    [
        ({"The": 0.9, "B": 0.05, "A": 0.04}, None),
        ({"A": 0.3, " B": 0.2, "B": 0.2}, None),  # spellings of a letter are added up
        ({"(B": 0.3, "A": 0.2}, None),
        ({"A": 0.3, "B": 0.2}, "wrong-choice"),
        ({"D": 0.9, "B": 0.01}, None),  # D is not offered
        ({"The": 0.9, "I": 0.1}, "no-choice"),
        ({"A": 0.2, "B": 0.2}, "several-choices"),
    ],
)
def test_the_likeliest_offered_letter_is_the_pick(probabilities: dict[str, float], label: str | None) -> None:
    result = graded(probabilities)
    assert result.failure_label == label
    assert result.passed is (label is None)


def test_it_takes_the_text_of_a_choice_and_an_answer_that_cannot_be_seen() -> None:
    assert graded({"B": 0.5}, expected="Paris", answer="\n").passed is True


def test_without_log_probabilities_it_is_a_skip() -> None:
    result = graded(None, answer="B")
    assert result.passed is None
    assert "no log-probabilities" in (result.skipped_reason or "")


def test_the_endpoint_is_asked_for_them() -> None:
    assert needs(SPEC) == "logprobs"
    assert request_parameters(SPEC) == {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
    assert request_parameters(GraderSpec(name="multiple_choice")) == {}


def test_the_offered_letters_are_needed() -> None:
    with pytest.raises(InvalidInputError, match="needs `choices`"):
        grade(GraderSpec(name="multiple_choice", args={"by": "logprob"}), "B", "B")
