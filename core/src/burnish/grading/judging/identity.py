"""Who a judge is: the digest that judgements carry and that a calibration is bound to. Called by the eval client."""

from __future__ import annotations

from typing import Literal

from burnish.digests import canonical_json, version_of
from burnish.grading.judging.prompt import TEMPLATE

Mode = Literal["single", "pairwise"]


def judge_digest(judge_model: str, rubric: str, mode: Mode = "single") -> str:
    """16 hex characters over the judge's model name, the rubric, the mode and our wording of the task.

    White space around the rubric does not count. If any of them changes, it is another judge, and a calibration of the one says nothing of the other.
    """
    return version_of(canonical_json([judge_model, rubric.strip(), mode, TEMPLATE]))


def rubric_digest(rubric: str) -> str:
    return version_of(rubric.strip().encode())
