"""How far a judge agrees with people: measured from answers that people have passed or failed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from burnish.errors import InvalidInputError, PreconditionError, validation_problems
from burnish.grading.judging.identity import judge_digest, rubric_digest
from burnish.jsonl import check_is_jsonl
from burnish.schemas.base import Frozen
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.evaluation import JudgeCalibration
from burnish.statistics.judge import cohens_kappa, wilson_interval
from burnish_client.evaluation.asking.answers import Answer
from burnish_client.evaluation.asking.ask import ProgressCallback
from burnish_client.evaluation.asking.chat import prompt_digest
from burnish_client.evaluation.grade import eval_rows
from burnish_client.evaluation.judging.judge import judge_sides
from burnish_client.evaluation.request import JudgeSettings

LEAST_OF_A_CLASS = 20  # passed, and failed, by the human; below it an interval says next to nothing


class HumanLabel(Frozen):
    """A line of a label file: what was asked and answered, and whether a person says that it passes."""

    question: str = Field(min_length=1)
    answer: str
    expected: str = Field(min_length=1)
    passed: bool = Field(strict=True)


def read_labels(path: Path) -> list[HumanLabel]:
    """Raises InvalidInputError, naming the line, for one that is no label, and for the same answer labelled twice."""
    check_is_jsonl(path)
    labels: list[HumanLabel] = []
    seen: dict[tuple[str, str, str], int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label = HumanLabel.model_validate_json(line)
        except ValidationError as error:
            problem = validation_problems(error, whole="line", at_most=1)
            raise InvalidInputError(
                f'{path} line {number}: {problem}. A label is {{"question", "answer", "expected", "passed": true or false}}',
                line=number,
            ) from error
        earlier = seen.setdefault((label.question, label.answer, label.expected), number)
        if earlier != number:
            raise InvalidInputError(
                f"{path} line {number}: the same answer as in line {earlier}: keep one", line=number
            )
        labels.append(label)
    return labels


async def calibrate(
    labels: Sequence[HumanLabel],
    rubric: str,
    judge: JudgeSettings,
    out: Path,
    progress: ProgressCallback | None = None,
) -> JudgeCalibration:
    """Let the judge grade what people have graded, just as an eval does, and measure how far they agree.

    out: JSONL of the judge's replies; the same call after a kill asks only what is missing. Answers that the judge gives
    no judgement of are left out of n. Positive = passed: true_positive_rate is the share of answers passed by people that
    the judge passes too. Intervals at 95 %: Wilson for the rates, Fleiss–Cohen–Everitt for kappa.
    Raises InvalidInputError for fewer than LEAST_OF_A_CLASS labels of either kind, before anything is asked;
    PreconditionError if the judge left too few of them judged; and what `judge_sides` raises.
    """
    shortage = _shortage([label.passed for label in labels])
    if shortage:
        raise InvalidInputError(f"too few labels to calibrate a judge: {shortage}", field="labels")
    questions, answers = [], []
    for number, label in enumerate(labels):
        question = BenchmarkQuestion(
            question_id=f"label-{number}",
            prompt=label.question,
            expected_answer=label.expected,
            grader=GraderSpec(name="judge", args={"rubric": rubric}),
        )
        answer = Answer(
            model="labels",
            question_id=question.question_id,
            sample=0,
            prompt_digest=prompt_digest(question.prompt_messages()),
            sampling_digest="labels",
            text=label.answer,
        )
        questions.append(question)
        answers.append(answer)
    judged = await judge_sides(questions, [answers], judge, out, progress)
    rows = eval_rows(questions, answers, None, judged.judgements[0])
    graded = [(row.passed, label.passed) for row, label in zip(rows, labels, strict=True) if row.passed is not None]
    shortage = _shortage([human for _, human in graded])
    if shortage:
        why = next((row.skipped_reason for row in rows if row.skipped_reason), "no reason given")
        raise PreconditionError(
            f"judge {judge.model} gave a judgement of only {len(graded)} of {len(labels)} answers ({why}): {shortage}"
        )
    return _measure(graded, judge.model, rubric)


def _measure(graded: Sequence[tuple[bool, bool]], judge_model: str, rubric: str) -> JudgeCalibration:
    """graded: (passed by the judge, passed by the human)."""
    said, human = [judge for judge, _ in graded], [label for _, label in graded]
    positives, negatives = sum(human), len(human) - sum(human)
    true_positives = sum(judge and label for judge, label in graded)
    true_negatives = sum(not judge and not label for judge, label in graded)
    kappa, kappa_low, kappa_high = cohens_kappa(said, human)
    true_positive_low, true_positive_high = wilson_interval(true_positives, positives)
    true_negative_low, true_negative_high = wilson_interval(true_negatives, negatives)
    return JudgeCalibration(
        judge=judge_digest(judge_model, rubric),
        judge_model=judge_model,
        rubric_digest=rubric_digest(rubric),
        n=len(graded),
        positives=positives,
        kappa=kappa,
        kappa_low=kappa_low,
        kappa_high=kappa_high,
        true_positive_rate=true_positives / positives,
        true_positive_low=true_positive_low,
        true_positive_high=true_positive_high,
        true_negative_rate=true_negatives / negatives,
        true_negative_low=true_negative_low,
        true_negative_high=true_negative_high,
    )


def check_calibration(calibration: JudgeCalibration, digests: Collection[str]) -> None:
    """Raise PreconditionError for a calibration of a judge that grades nothing here. digests: see `judge_digests`."""
    if calibration.judge not in digests:
        raise PreconditionError(
            f"the calibration is of judge {calibration.judge} (model {calibration.judge_model}, rubric "
            f"{calibration.rubric_digest}), but the questions are judged by {', '.join(sorted(digests)) or 'nobody'}: "
            "another model, rubric or mode is another judge. Calibrate that one with `burnish judge calibrate`"
        )


def _shortage(human: Sequence[bool]) -> str | None:
    missing = [
        f"{LEAST_OF_A_CLASS - count} more that people {word}"
        for word, count in (("passed", sum(human)), ("failed", len(human) - sum(human)))
        if count < LEAST_OF_A_CLASS
    ]
    return f"{LEAST_OF_A_CLASS} of each kind are needed, add {' and '.join(missing)}" if missing else None
