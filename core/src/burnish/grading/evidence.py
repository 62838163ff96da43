"""What some graders need beside the answer's text: log-probabilities of its first token, a judge's word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Judgement:
    """A judge's opinion of one answer.

    judge: burnish.grading.judging.identity.judge_digest of the judge's model, rubric and mode. score: single answers 1 pass, 0 fail;
    pairs 1 better than the other side's answer, 0.5 tie, 0 worse; None exactly where `problem` says why there is none.
    """

    judge: str
    score: float | None
    reason: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class Evidence:
    """first_token_logprobs: token text -> natural log of its probability to stand first in the answer. None: not given."""

    first_token_logprobs: Mapping[str, float] | None = None
    judgement: Judgement | None = None


NO_EVIDENCE = Evidence()
