"""From answers to graded rows: checks a benchmark's graders, grades, and says which rows may decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from burnish.errors import InvalidInputError
from burnish.grading import Evidence, Grade, Judgement, check, grade, needs
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import Split
from burnish.schemas.evaluation import EvalRow
from burnish_client.evaluation.answers import Answer, AnswerKey

NO_JUDGEMENTS: Mapping[AnswerKey, Judgement] = {}


def check_questions(questions: Iterable[BenchmarkQuestion]) -> None:
    """Grade each question's own expected answer, before anything is asked.

    Raises InvalidInputError, naming the question, for an unknown grader, bad arguments, or an expected answer that
    cannot be graded or (regex aside, whose pattern may be the expected answer) would itself be marked wrong. What needs
    the endpoint is checked without it: a choice by log-probability as if its expected token were certain, a judge not.
    """
    for question in questions:
        try:
            result = _grade_expected(question)
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


def _grade_expected(question: BenchmarkQuestion) -> Grade:
    spec, expected = question.grader, question.expected_answer
    check(spec)
    needed = needs(spec)
    if needed == "logprobs":
        grade(spec, expected, expected)  # raises for missing choices
        spec = spec.model_copy(update={"args": {**spec.args, "by": "text"}})
    judgement = Judgement(judge="", score=1.0) if needed == "judge" else None
    return grade(spec, expected, expected, Evidence(judgement=judgement))


def eval_rows(
    questions: Sequence[BenchmarkQuestion],
    answers: Iterable[Answer],
    split: Split | None,
    judgements: Mapping[AnswerKey, Judgement] = NO_JUDGEMENTS,
) -> list[EvalRow]:
    """Grade answers into rows, in the order of the answers.

    split: the dataset's. targeted = split.targeted; held_out = no training row (correction in train or validation, or
    anchor) came from the question. Without a split nothing is targeted and everything held out. judgements: answer's key ->
    what the judge said of it (see judging); a judge's question without one is a skip. Raises InvalidInputError for an
    answer to a question that is not among `questions`.
    """
    cluster_of = question_clusters(questions)
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
        judgement = judgements.get(answer.key)
        graded = grade_answer(question, answer, judgement)
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
                cluster=cluster_of[question.question_id],
                grader=question.grader.name,
                judge=judgement.judge if judgement else None,
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
            )
        )
    return rows


def grade_answer(question: BenchmarkQuestion, answer: Answer, judgement: Judgement | None = None) -> Grade | None:
    """The grade, or None where there is no answer to grade (it ended in an error)."""
    if answer.text is None:
        return None
    evidence = Evidence(answer.first_token_logprobs, judgement)
    return grade(question.grader, answer.text, question.expected_answer, evidence)


def question_clusters(questions: Sequence[BenchmarkQuestion]) -> dict[str, str | None]:
    """question_id -> its cluster: questions of one cluster are not independent of each other.

    The question's own `cluster` where it has one. The others are joined by the evidence files they share, also by way of
    a third question, and named after the first such file in alphabetical order. None: no file either, it stands alone.
    """
    files_of = {q.question_id: q.evidence_files for q in questions if q.cluster is None}
    root = {file: file for files in files_of.values() for file in files}

    def find(file: str) -> str:
        while root[file] != file:
            root[file] = root[root[file]]
            file = root[file]
        return file

    for files in files_of.values():
        roots = sorted({find(file) for file in files})
        root.update(dict.fromkeys(roots[1:], roots[0]) if roots else {})
    by_files = {question_id: f"file:{find(files[0])}" if files else None for question_id, files in files_of.items()}
    return {q.question_id: q.cluster if q.cluster is not None else by_files[q.question_id] for q in questions}
