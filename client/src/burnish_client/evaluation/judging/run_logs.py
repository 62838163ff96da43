"""Judgements of run log lines that nothing else grades. Called by `burnish runs grade --judge`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from burnish.curation.log_grading import LogGrader
from burnish.runlogs.identity import run_key
from burnish.runlogs.parsing import parse_line
from burnish.runlogs.prompts import prompt_messages
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.evaluation import JudgeCalibration
from burnish.schemas.runlog import GradedBy
from burnish_client.evaluation.asking.answers import Answer
from burnish_client.evaluation.asking.ask import ProgressCallback
from burnish_client.evaluation.asking.chat import prompt_digest
from burnish_client.evaluation.grade import grade_answer
from burnish_client.evaluation.judging.calibration import check_calibration
from burnish_client.evaluation.judging.judge import judge_digests, judge_sides
from burnish_client.evaluation.request import JudgeSettings

NOT_KNOWN = "(not known: the rubric alone decides)"


@dataclass(frozen=True)
class LineJudge:
    """most: lines that are judged at most, the budget. calibration: None marks every grade as one of an uncalibrated judge."""

    settings: JudgeSettings
    rubric: str
    most: int
    calibration: JudgeCalibration | None = None


@dataclass(frozen=True)
class JudgedLines:
    """verdicts: by run_key, whether it passes, its label if not, and who says so. left: lines that the budget did not reach."""

    verdicts: dict[str, tuple[bool, str | None, GradedBy]] = field(default_factory=dict)
    asked: int = 0
    left: int = 0
    problems: int = 0


async def judge_lines(
    contents: Iterable[bytes], grader: LogGrader, judge: LineJudge, out: Path, progress: ProgressCallback | None = None
) -> JudgedLines:
    """Ask the judge about lines that have no grade after `grader`, and say something; the first `most` of them, each text once.

    out: JSONL of the judge's replies; the same call after a kill asks only what is missing. PreconditionError for a
    calibration of another judge or rubric; what `judge_sides` raises.
    """
    spec = GraderSpec(name="judge", args={"rubric": judge.rubric})
    questions: dict[str, BenchmarkQuestion] = {}
    answers: list[Answer] = []
    left = 0
    for content in contents:
        line = parse_line(content)
        key = run_key(line)
        if key in questions or line.grade is not None or not line.answer.strip():
            continue
        found, _ = grader.graded(line)
        if found.grade is not None or found.failure_label:
            continue
        if len(questions) >= judge.most:
            left += 1
            continue
        messages, expected = prompt_messages(line), line.expected_answer or NOT_KNOWN
        questions[key] = BenchmarkQuestion(question_id=key, messages=messages, expected_answer=expected, grader=spec)
        digest = prompt_digest(messages)
        answers.append(
            Answer(
                model="log", question_id=key, sample=0, prompt_digest=digest, sampling_digest="log", text=line.answer
            )
        )
    if judge.calibration is not None:
        check_calibration(judge.calibration, judge_digests(questions.values(), judge.settings.model))
    judged = await judge_sides(list(questions.values()), [answers], judge.settings, out, progress)
    verdicts: dict[str, tuple[bool, str | None, GradedBy]] = {}
    for answer in answers:
        judgement = judged.judgements[0].get(answer.key)
        grade = grade_answer(questions[answer.question_id], answer, judgement)
        if grade is None or grade.passed is None:
            continue
        verdicts[answer.question_id] = (
            grade.passed,
            grade.failure_label,
            _by(judge, judgement.judge if judgement else ""),
        )
    return JudgedLines(verdicts, len(judged.replies), left, len(answers) - len(verdicts))


def _by(judge: LineJudge, digest: str) -> GradedBy:
    """confidence: the chance-corrected agreement with people, if it was measured."""
    rule = f"judge:{judge.settings.model}:{digest}"
    if judge.calibration is None:
        return GradedBy.model_validate({"source": "model", "rule": rule, "calibrated": False})
    kappa = max(0.0, round(judge.calibration.kappa, 3))
    return GradedBy.model_validate({"source": "model", "rule": rule, "confidence": kappa, "calibrated": True})
