"""From answers to graded rows: checks a benchmark's graders, grades, and says which rows may decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from burnish.errors import InvalidInputError
from burnish.grading import Grade, grade
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import Split
from burnish.schemas.evaluation import EvalRow
from burnish_client.evaluation.answers import Answer


def check_questions(questions: Iterable[BenchmarkQuestion]) -> None:
    """Grade each question's own expected answer, before anything is asked.

    Raises InvalidInputError, naming the question, for an unknown grader, bad arguments, or an expected answer that
    cannot be graded or (regex aside, whose pattern may be the expected answer) would itself be marked wrong.
    """
    for question in questions:
        try:
            result = grade(question.grader, question.expected_answer, question.expected_answer)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"question {question.question_id!r}: {error.message}", question_id=question.question_id
            ) from error
        if result.skipped_reason or (result.passed is False and question.grader.name != "regex"):
            why = result.skipped_reason or f"{result.failure_label}: {result.detail}"
            raise InvalidInputError(
                f"question {question.question_id!r}: its own expected answer does not pass {question.grader.name!r} ({why}): correct one of them",
                question_id=question.question_id,
            )


def eval_rows(questions: Sequence[BenchmarkQuestion], answers: Iterable[Answer], split: Split | None) -> list[EvalRow]:
    """Grade answers into rows, in the order of the answers.

    split: the dataset's. targeted = split.targeted; held_out = no training row (correction in train or validation, or
    anchor) came from the question. Without a split nothing is targeted and everything held out. An answer to a question
    that is not among `questions` raises InvalidInputError.
    """
    by_id: Mapping[str, BenchmarkQuestion] = {question.question_id: question for question in questions}
    targeted = set(split.targeted) if split else set()
    trained = {*split.train, *split.validation, *split.anchors} if split else set()
    rows = []
    for answer in answers:
        if answer.question_id not in by_id:
            raise InvalidInputError(
                f"answer to {answer.question_id!r}, which is not in the benchmark", question_id=answer.question_id
            )
        question = by_id[answer.question_id]
        graded = grade_answer(question, answer)
        rows.append(
            EvalRow(
                question_id=question.question_id,
                sample=answer.sample,
                slice=question.slice,
                targeted=question.question_id in targeted,
                held_out=question.question_id not in trained,
                passed=graded.passed if graded else None,
                score=graded.score if graded else None,
                skipped_reason=graded.skipped_reason if graded else None,
                failure_label=graded.failure_label if graded else None,
                answer=answer.text,
                latency_ms=answer.latency_ms,
                error=answer.error,
            )
        )
    return rows


def grade_answer(question: BenchmarkQuestion, answer: Answer) -> Grade | None:
    """The grade, or None where there is no answer to grade (it ended in an error)."""
    return None if answer.text is None else grade(question.grader, answer.text, question.expected_answer)
