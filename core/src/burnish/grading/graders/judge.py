"""Grader: another model judges the answer against a rubric.

The judge is asked by the eval client (burnish_client.evaluation.judging); what it is asked is in burnish.grading.judging.prompt.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from burnish.grading.evidence import Evidence, Judgement
from burnish.grading.judging.identity import Mode
from burnish.grading.judging.injection import addresses_judge
from burnish.grading.registry import Grade, failing, grader, passing, skipping

Rubric = Annotated[str, Field(min_length=1, pattern=r"\S")]
NEEDS_A_JUDGE = "needs a judge: give --judge-model"


@grader
def judge(answer: str, expected: str, evidence: Evidence, *, rubric: Rubric, mode: Mode = "single") -> Grade:
    """A judge model finds that the answer meets the rubric; the judge is chosen in the eval run, not here.

    mode `single`: pass or fail, given the question, the expected answer and the rubric. mode `pairwise`: the answer is
    compared with the other side's answer (same question, same sample), in both orders; two different words are a tie.
    It passes unless it is the worse one; score 1, 0.5 or 0. Labels: judged-wrong, judged-worse, addresses-judge.

    An answer that addresses the judge never passes, whatever the judge says. Skips without a judgement.
    """
    judgement = evidence.judgement
    if judgement is None:
        return skipping(NEEDS_A_JUDGE)
    if judgement.score is None:
        return skipping(f"the judge gave no judgement: {judgement.problem}")
    asked_for = addresses_judge(answer)
    if asked_for is not None:
        return failing("addresses-judge", f"the answer says {asked_for!r} to its judge; {_said(judgement)}")
    if judgement.score >= 0.5:
        return passing(_said(judgement), judgement.score)
    return failing("judged-wrong" if mode == "single" else "judged-worse", _said(judgement))


def _said(judgement: Judgement) -> str:
    return f"judge (score {judgement.score:g}): {judgement.reason[:500]}"
